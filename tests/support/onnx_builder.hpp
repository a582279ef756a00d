// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

namespace qnudge::test {

/// Builds small ONNX models for tests. The network's input is the FLOAT tensor "x", a negative extent is symbolic:
///
///   OnnxBuilder model({-1, 3, 8, 8});
///   model.floats("w", {16, 3, 3, 3}, weights);
///   set(model.node("Conv", {"x", "w"}, "y"), "pads", {1, 1, 1, 1});
///   model.output("y").save(path);
class OnnxBuilder {
 public:
  explicit OnnxBuilder(const std::vector<std::int64_t>& input_dims, std::int64_t opset = 13) {
    proto.set_ir_version(7);
    proto.add_opset_import()->set_version(opset);
    proto.mutable_graph()->set_name("test");
    input("x", input_dims);
  }

  onnx::ModelProto proto;  ///< for whatever the functions below do not offer

  onnx::GraphProto& graph() { return *proto.mutable_graph(); }

  OnnxBuilder& input(const std::string& name, const std::vector<std::int64_t>& dims) {
    onnx::ValueInfoProto& info = *graph().add_input();
    info.set_name(name);
    onnx::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
    type.set_elem_type(onnx::TensorProto::FLOAT);
    type.mutable_shape();
    for (const std::int64_t extent : dims) {
      auto& dim = *type.mutable_shape()->add_dim();
      extent < 0 ? dim.set_dim_param("N") : dim.set_dim_value(extent);
    }
    return *this;
  }

  OnnxBuilder& output(const std::string& name) {
    onnx::ValueInfoProto& info = *graph().add_output();
    info.set_name(name);
    info.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT);
    return *this;
  }

  /// A FLOAT initializer of raw bytes; no dims: a scalar.
  onnx::TensorProto& floats(const std::string& name, const std::vector<std::int64_t>& dims,
                            const std::vector<float>& values) {
    onnx::TensorProto& tensor = initializer(name, dims, onnx::TensorProto::FLOAT);
    tensor.set_raw_data(values.data(), values.size() * sizeof(float));
    return tensor;
  }

  /// An INT64 initializer of one axis.
  onnx::TensorProto& integers(const std::string& name, const std::vector<std::int64_t>& values) {
    onnx::TensorProto& tensor = initializer(name, {static_cast<std::int64_t>(values.size())}, onnx::TensorProto::INT64);
    tensor.mutable_int64_data()->Add(values.begin(), values.end());
    return tensor;
  }

  onnx::TensorProto& initializer(const std::string& name, const std::vector<std::int64_t>& dims,
                                 onnx::TensorProto::DataType type) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(type);
    tensor.mutable_dims()->Add(dims.begin(), dims.end());
    return tensor;
  }

  /// Appends a node; its name is that of its output unless given.
  onnx::NodeProto& node(const std::string& type, const std::vector<std::string>& inputs, const std::string& result,
                        const std::string& name = "") {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(type);
    node.set_name(name.empty() ? result : name);
    for (const std::string& input : inputs) node.add_input(input);
    node.add_output(result);
    return node;
  }

  std::string bytes() const { return proto.SerializeAsString(); }

  std::filesystem::path save(const std::filesystem::path& path) const {
    std::ofstream(path, std::ios::binary) << bytes();
    return path;
  }
};

inline onnx::AttributeProto& attribute(onnx::NodeProto& node, const std::string& name,
                                       onnx::AttributeProto::AttributeType type) {
  onnx::AttributeProto& added = *node.add_attribute();
  added.set_name(name);
  added.set_type(type);
  return added;
}

inline onnx::NodeProto& set(onnx::NodeProto& node, const std::string& name, std::initializer_list<std::int64_t> list) {
  attribute(node, name, onnx::AttributeProto::INTS).mutable_ints()->Add(list.begin(), list.end());
  return node;
}

inline onnx::NodeProto& set(onnx::NodeProto& node, const std::string& name, int value) {
  attribute(node, name, onnx::AttributeProto::INT).set_i(value);
  return node;
}

inline onnx::NodeProto& set(onnx::NodeProto& node, const std::string& name, float value) {
  attribute(node, name, onnx::AttributeProto::FLOAT).set_f(value);
  return node;
}

inline onnx::NodeProto& set(onnx::NodeProto& node, const std::string& name, const char* text) {
  attribute(node, name, onnx::AttributeProto::STRING).set_s(text);
  return node;
}

}  // namespace qnudge::test
