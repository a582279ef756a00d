// SPDX-License-Identifier: MIT
#include "fake_cudnn.hpp"

#include <algorithm>
#include <cstring>

namespace qnudge::cuda::test {
namespace {

FakeCudnn* current = nullptr;

/// A descriptor: its attributes as bytes.
struct Fake {
  cudnnBackendDescriptorType_t type;
  std::map<cudnnBackendAttributeName_t, std::vector<std::byte>> attributes;

  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name) const {
    const std::vector<std::byte>& bytes = attributes.at(name);
    std::vector<T> all(bytes.size() / sizeof(T));
    std::memcpy(all.data(), bytes.data(), bytes.size());
    return all;
  }
  const Fake& linked(cudnnBackendAttributeName_t name) const { return *values<const Fake*>(name).at(0); }
};

std::size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_CHAR:
    case CUDNN_TYPE_BOOLEAN:
      return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;  // enumerations, int32 and float
  }
}

cudnnStatus_t create_descriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t* made) {
  *made = new Fake{type, {}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t destroy_descriptor(cudnnBackendDescriptor_t descriptor) {
  delete static_cast<Fake*>(descriptor);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t set_attribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                            cudnnBackendAttributeType_t type, std::int64_t count, const void* values) {
  const auto* bytes = static_cast<const std::byte*>(values);
  static_cast<Fake*>(descriptor)
      ->attributes[name]
      .assign(bytes, bytes + static_cast<std::size_t>(count) * size_of(type));
  return CUDNN_STATUS_SUCCESS;
}

/// As cuDNN: tells how many values there are, and copies as many as are asked for.
template <class T>
cudnnStatus_t give(const std::vector<T>& values, std::int64_t asked, std::int64_t* count, void* to) {
  *count = static_cast<std::int64_t>(values.size());
  const auto copied = static_cast<std::size_t>(std::min(asked, *count));
  if (copied > 0) std::memcpy(to, values.data(), copied * sizeof(T));
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t get_attribute(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t,
                            std::int64_t asked, std::int64_t* count, void* to) {
  switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS:
    case CUDNN_ATTR_ENGINECFG_ENGINE:
      *count = 1;  // the caller's descriptor serves as it is
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX:
      return give<std::int64_t>({0}, asked, count, to);
    case CUDNN_ATTR_ENGINE_KNOB_INFO:
      *count = current->kernels > 1 ? 1 : 0;
      return CUDNN_STATUS_SUCCESS;
    case CUDNN_ATTR_KNOB_INFO_TYPE:
      return give<cudnnBackendKnobType_t>({CUDNN_KNOB_TYPE_KERNEL_CFG}, asked, count, to);
    case CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE:
      return give<std::int64_t>({0}, asked, count, to);
    case CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE:
      return give<std::int64_t>({current->kernels - 1}, asked, count, to);
    case CUDNN_ATTR_KNOB_INFO_STRIDE:
      return give<std::int64_t>({1}, asked, count, to);
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE:
      return give<std::int64_t>({current->workspace_bytes}, asked, count, to);
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION:
      return give(std::vector<char>(current->json.begin(), current->json.end()), asked, count, to);
    default:  // notes and chosen knobs
      *count = 0;
      return CUDNN_STATUS_SUCCESS;
  }
}

bool of_codes(const Fake& heuristics) {
  const Fake& graph = heuristics.linked(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  const Fake& x = graph.linked(CUDNN_ATTR_OPERATIONGRAPH_OPS).linked(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
  return x.values<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE).at(0) == CUDNN_DATA_INT8;
}

/// The number behind the first of linked descriptors, `otherwise` if there are none.
std::int64_t number(const Fake& fake, cudnnBackendAttributeName_t link, cudnnBackendAttributeName_t name,
                    std::int64_t otherwise) {
  if (!fake.attributes.contains(link) || !fake.linked(link).attributes.contains(name)) return otherwise;
  return fake.linked(link).values<std::int64_t>(name).at(0);
}

bool compiles(const Fake& plan) {
  const Fake& config = plan.linked(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  return current->compiles(number(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 0),
                           number(config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, -1));
}

cudnnStatus_t finalize(cudnnBackendDescriptor_t descriptor) {
  const Fake& fake = *static_cast<Fake*>(descriptor);
  if (fake.type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR && of_codes(fake) && !current->takes_codes) {
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  if (fake.type == CUDNN_BACKEND_ENGINE_DESCRIPTOR &&
      !current->engines.contains(fake.values<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX).at(0))) {
    return CUDNN_STATUS_NOT_SUPPORTED;
  }
  if (fake.type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    const bool anew = fake.attributes.contains(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    if (anew ? !compiles(fake) : !current->takes_stored) return CUDNN_STATUS_NOT_SUPPORTED;
    ++(anew ? current->compiled : current->rebuilt);
  }
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t execute(cudnnHandle_t, cudnnBackendDescriptor_t, cudnnBackendDescriptor_t operands) {
  const Fake& pack = *static_cast<Fake*>(operands);
  const auto ids = pack.values<std::int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.values<const void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  auto& executed = current->executed.emplace_back();
  for (std::size_t i = 0; i < ids.size(); ++i) executed[ids[i]] = pointers.at(i);
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

FakeCudnn::FakeCudnn() {
  current = this;
}

FakeCudnn::~FakeCudnn() {
  current = nullptr;
}

cudnnHandle_t FakeCudnn::handle() {
  static std::byte somewhere{};
  return reinterpret_cast<cudnnHandle_t>(&somewhere);
}

const Cudnn& FakeCudnn::api() {
  static const Cudnn functions = [] {
    Cudnn api{};
    api.get_version = []() -> std::size_t { return CUDNN_VERSION; };
    api.get_cudart_version = []() -> std::size_t { return CUDART_VERSION; };
    api.get_error_string = [](cudnnStatus_t) -> const char* { return "no"; };
    api.get_last_error_string = [](char* message, std::size_t) { *message = '\0'; };
    api.create = [](cudnnHandle_t* made) {
      *made = handle();
      return CUDNN_STATUS_SUCCESS;
    };
    api.destroy = [](cudnnHandle_t) { return CUDNN_STATUS_SUCCESS; };
    api.set_stream = [](cudnnHandle_t, cudaStream_t) { return CUDNN_STATUS_SUCCESS; };
    api.create_descriptor = create_descriptor;
    api.destroy_descriptor = destroy_descriptor;
    api.set_attribute = set_attribute;
    api.get_attribute = get_attribute;
    api.finalize = finalize;
    api.execute = execute;
    return api;
  }();
  return functions;
}

}  // namespace qnudge::cuda::test
