// SPDX-License-Identifier: MIT
#include "onnx_reader.hpp"

#include <cmath>

namespace qnudge {
namespace {

constexpr std::int64_t kMaxAttribute = 1 << 20;

const onnx::AttributeProto* find_attribute(const onnx::NodeProto& node, const char* name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

std::int64_t checked(std::int64_t value, const char* name) {
  require(value >= 0 && value <= kMaxAttribute, ErrorKind::input, "its attribute {} holds {}; 0 to 2^20 is needed",
          name, value);
  return value;
}

}  // namespace

const onnx::TensorProto& OnnxConstants::find(const std::string& name) const {
  const auto at = tensors_.find(name);
  require(at != tensors_.end(), ErrorKind::input,
          "it reads a tensor that is not an initialiser, or one that another node has read already");
  return *at->second;
}

std::vector<std::int64_t> OnnxConstants::dims(const std::string& name) const {
  const onnx::TensorProto& tensor = find(name);
  return {tensor.dims().begin(), tensor.dims().end()};
}

std::size_t OnnxConstants::checked_count(const onnx::TensorProto& tensor, onnx::TensorProto::DataType type,
                                         std::size_t bytes) {
  require(tensor.data_type() == type, ErrorKind::input, "it reads an initialiser of element type {}; {} is needed",
          tensor.data_type(), static_cast<int>(type));
  const auto stored = static_cast<std::int64_t>(tensor.raw_data().size() / bytes);
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.dims()) {
    require(extent >= 1 && extent <= stored / count, ErrorKind::input,
            "it reads an initialiser of {} values, fewer than its shape demands", stored);
    count *= extent;
  }
  require(tensor.raw_data().size() == static_cast<std::size_t>(count) * bytes, ErrorKind::input,
          "it reads an initialiser of {} bytes; {} are needed", tensor.raw_data().size(),
          static_cast<std::size_t>(count) * bytes);
  return static_cast<std::size_t>(count);
}

float OnnxConstants::scalar(const std::string& name) const {
  const onnx::TensorProto& tensor = find(name);
  require(checked_count(tensor, onnx::TensorProto::FLOAT, sizeof(float)) == 1, ErrorKind::input,
          "it reads an initialiser of several values where a scalar is needed");
  float value = 0;
  std::memcpy(&value, tensor.raw_data().data(), sizeof value);
  return value;
}

int OnnxConstants::exponent(const std::string& name) const {
  const float value = scalar(name);
  int exponent = 0;
  require(std::isfinite(value) && std::frexp(value, &exponent) == 0.5f, ErrorKind::input,
          "its activation scale is {}; a power of two is needed", value);
  return exponent - 1;
}

std::vector<std::int64_t> read_integers(const onnx::NodeProto& node, const char* name, std::size_t count,
                                        std::int64_t fallback) {
  std::vector<std::int64_t> values(count, fallback);
  const onnx::AttributeProto* attribute = find_attribute(node, name);
  if (attribute == nullptr) return values;
  require(static_cast<std::size_t>(attribute->ints_size()) == count, ErrorKind::input,
          "its attribute {} has {} entries; {} are needed", name, attribute->ints_size(), count);
  for (std::size_t i = 0; i < count; ++i) values[i] = checked(attribute->ints(static_cast<int>(i)), name);
  return values;
}

std::int64_t read_integer(const onnx::NodeProto& node, const char* name, std::int64_t fallback) {
  const onnx::AttributeProto* attribute = find_attribute(node, name);
  return attribute == nullptr ? fallback : checked(attribute->i(), name);
}

}  // namespace qnudge
