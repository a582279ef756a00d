// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace qnudge {

/// Whose models are read again.
inline constexpr const char* kProducer = "qnudge";

/// Builds one ONNX graph node by node; every name it gives is unique, and the same calls give the same bytes.
class OnnxWriter {
 public:
  using Names = std::vector<std::string>;
  using Dims = std::vector<std::int64_t>;

  explicit OnnxWriter(int opset);

  /// Keeps tensor or node names that must appear as they are.
  void reserve_tensor(const std::string& name) { tensors_.insert(name); }
  void reserve_node(const std::string& name) { nodes_.insert(name); }

  /// A float tensor [N, dims...] that enters or leaves the graph.
  void input(const std::string& name, const Dims& dims) { describe(*graph().add_input(), name, dims); }
  void output(const std::string& name, const Dims& dims) { describe(*graph().add_output(), name, dims); }

  /// A node with a reserved name, or with a new one derived from `name`; its one output tensor has a like name.
  onnx::NodeProto& reserved_node(const char* op, const std::string& name, const Names& inputs);
  onnx::NodeProto& node(const char* op, const std::string& name, const Names& inputs);
  /// Output tensor of the latest node; the second form renames it.
  const std::string& result() const { return last_->output(0); }
  void name_result(const std::string& name) { last_->set_output(0, name); }

  /// An initialiser; scalar if `dims` is empty. T: std::int8_t, std::int32_t, std::int64_t or float.
  template <class T>
  std::string constant(const std::string& name, const Dims& dims, std::span<const T> values) {
    static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(unique(tensors_, name));
    for (const std::int64_t extent : dims) tensor.add_dims(extent);
    tensor.set_data_type(std::is_same_v<T, std::int8_t>    ? onnx::TensorProto::INT8
                         : std::is_same_v<T, std::int32_t> ? onnx::TensorProto::INT32
                         : std::is_same_v<T, std::int64_t> ? onnx::TensorProto::INT64
                                                           : onnx::TensorProto::FLOAT);
    tensor.set_raw_data(values.data(), values.size_bytes());
    return tensor.name();
  }
  /// Scalars that many nodes share: 2^exponent, and the zero point of activations.
  std::string power_of_two(int exponent);
  std::string zero_int8();

  onnx::ModelProto& model() { return model_; }

 private:
  onnx::GraphProto& graph() { return *model_.mutable_graph(); }
  static std::string unique(std::set<std::string>& taken, const std::string& name);
  static void describe(onnx::ValueInfoProto& value, const std::string& name, const Dims& dims);

  onnx::ModelProto model_;
  onnx::NodeProto* last_ = nullptr;
  std::set<std::string> tensors_, nodes_;
  std::map<int, std::string> powers_;
  std::string zero_int8_;
};

void set_attribute(onnx::NodeProto& node, const char* name, std::int64_t value);
void set_attribute(onnx::NodeProto& node, const char* name, const std::vector<std::int64_t>& values);

}  // namespace qnudge
