// SPDX-License-Identifier: MIT
#include "descriptor.hpp"

namespace qnudge::cuda {

Descriptor::Descriptor(const Cudnn& api, cudnnBackendDescriptorType_t type, std::string what)
    : api_(api), what_(std::move(what)), handle_(nullptr, Destroy{api.destroy_descriptor}) {
  cudnnBackendDescriptor_t raw = nullptr;
  check_cudnn(api_, api_.create_descriptor(type, &raw), "a descriptor of " + what_);
  handle_.reset(raw);
}

Descriptor& Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                                const void* values) {
  check_cudnn(api_, api_.set_attribute(get(), name, type, count, values), what_);
  return *this;
}

Descriptor& Descriptor::finalize() {
  check_cudnn(api_, try_finalize(), what_);
  return *this;
}

cudnnStatus_t Descriptor::try_finalize() {
  return api_.finalize(get());
}

std::int64_t Descriptor::fill(cudnnBackendAttributeName_t name, std::vector<Descriptor>& into) const {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& d : into) raw.push_back(d.get());
  std::int64_t count = 0;
  check_cudnn(api_,
              api_.get_attribute(get(), name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(raw.size()),
                                 &count, raw.data()),
              "to read descriptors of " + what_);
  return count;
}

}  // namespace qnudge::cuda
