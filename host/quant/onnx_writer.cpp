// SPDX-License-Identifier: MIT
#include "onnx_writer.hpp"

#include <fmt/format.h>

#include <cmath>

namespace qnudge {
namespace {

constexpr int kIrVersion = 8;

}  // namespace

OnnxWriter::OnnxWriter(int opset) {
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name(kProducer);
  onnx::OperatorSetIdProto& operators = *model_.add_opset_import();
  operators.set_domain("");
  operators.set_version(opset);
  graph().set_name("qnudge");
}

onnx::NodeProto& OnnxWriter::reserved_node(const char* op, const std::string& name, const Names& inputs) {
  onnx::NodeProto& node = *graph().add_node();
  node.set_op_type(op);
  node.set_name(name);
  for (const std::string& input : inputs) node.add_input(input);
  node.add_output(unique(tensors_, name));
  last_ = &node;
  return node;
}

onnx::NodeProto& OnnxWriter::node(const char* op, const std::string& name, const Names& inputs) {
  return reserved_node(op, unique(nodes_, name), inputs);
}

std::string OnnxWriter::power_of_two(int exponent) {
  std::string& slot = powers_[exponent];
  const auto value = static_cast<float>(std::ldexp(1.0, exponent));
  if (slot.empty()) slot = constant<float>(fmt::format("scale/2^{}", exponent), {}, std::span(&value, 1));
  return slot;
}

std::string OnnxWriter::zero_int8() {
  const std::int8_t zero = 0;
  if (zero_int8_.empty()) zero_int8_ = constant<std::int8_t>("zero/int8", {}, std::span(&zero, 1));
  return zero_int8_;
}

std::string OnnxWriter::unique(std::set<std::string>& taken, const std::string& name) {
  std::string candidate = name;
  for (int i = 2; !taken.insert(candidate).second; ++i) candidate = fmt::format("{}_{}", name, i);
  return candidate;
}

void OnnxWriter::describe(onnx::ValueInfoProto& value, const std::string& name, const Dims& dims) {
  value.set_name(name);
  onnx::TypeProto::Tensor& type = *value.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t extent : dims) type.mutable_shape()->add_dim()->set_dim_value(extent);
}

void set_attribute(onnx::NodeProto& node, const char* name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void set_attribute(onnx::NodeProto& node, const char* name, const std::vector<std::int64_t>& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) attribute.add_ints(value);
}

}  // namespace qnudge
