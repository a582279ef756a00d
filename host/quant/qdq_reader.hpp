// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "onnx_reader.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// Reads QDQ ONNX back; the nodes of a primitive are read by its room. Everything throws Error(kind input).
class QdqReader {
 public:
  explicit QdqReader(const onnx::GraphProto& graph) : graph_(graph), constants_(graph) {}
  IntNetwork run();

  /// What a tensor means: the real value of a node before quantisation, its codes, or the codes dequantised.
  struct Value {
    enum Kind { real, codes, reading } kind;
    int node;
  };
  /// A dequantised initialiser.
  struct Constant {
    std::string tensor, scale;
  };

  IntNetwork& network() { return net_; }
  IntNode& node(int i) { return net_.nodes[static_cast<std::size_t>(i)]; }
  OnnxConstants& constants() { return constants_; }
  std::size_t rank() const { return static_cast<std::size_t>(net_.spatial_rank); }
  const std::string& input(const onnx::NodeProto& from, int i) const;
  bool has_value(const std::string& tensor) const { return values_.contains(tensor); }
  Value value(const std::string& tensor) const;
  void set_value(const std::string& tensor, Value value) { values_[tensor] = value; }
  /// Node whose dequantised codes are input `i`.
  int reading(const onnx::NodeProto& from, int i) const;
  /// The dequantised initialiser that is input `i`.
  const Constant& parameter(const onnx::NodeProto& from, int i) const;
  /// The same of a tensor by name.
  bool has_parameter(const std::string& tensor) const { return parameters_.contains(tensor); }
  const Constant& parameter(const std::string& tensor) const { return parameters_.at(tensor); }

  /// A node with the name of `from` and the shape of its first input.
  IntNode make(const onnx::NodeProto& from, IntPrimitive what, std::vector<int> inputs) const;
  /// Appends a node whose real value is the output of `from`.
  void append(const onnx::NodeProto& from, IntNode added);
  /// What a Relu or Clip says of its node.
  struct Bounds {
    std::int8_t low = -128, high = 127;
    double clip_low = 0, clip_high = 0;
    void apply(IntNode& to) const;
  };
  Bounds read_bounds(const onnx::NodeProto& from) const;
  /// Counts against the work that pooling windows may ask for.
  void count_pool_work(std::int64_t work);

 private:
  void read_input();
  void read_node(const onnx::NodeProto& from);
  void read_cast(const onnx::NodeProto& from);
  void quantise(const onnx::NodeProto& from, int exponent);
  void read_dequantise(const onnx::NodeProto& from);
  void read_reshape(const onnx::NodeProto& from);
  void read_step(const onnx::NodeProto& from);
  void read_own_bound(const onnx::NodeProto& from);
  std::int8_t bound_code(const std::string& tensor, int exponent) const;
  Bounds read_half_bounds(const onnx::NodeProto& from) const;
  void append(IntNode added, const std::string& tensor);
  void read_output();
  void finish();

  static constexpr int kUnknown = 1 << 16;

  const onnx::GraphProto& graph_;
  OnnxConstants constants_;
  IntNetwork net_;
  std::vector<int> exponents_;                  ///< [nodes]
  std::map<std::string, Value> values_;         ///< activations by tensor name
  std::map<std::string, Constant> parameters_;  ///< dequantised initialisers by tensor name
  std::int64_t pool_work_ = 0;
};

}  // namespace qnudge
