// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Writes a float graph as ONNX; what each node becomes stands in the rooms of the primitives.
class FloatWriter {
 public:
  using Dims = std::vector<std::int64_t>;

  explicit FloatWriter(const Graph& graph) : graph_(graph) {}
  onnx::ModelProto run();

  const Graph& graph() const { return graph_; }
  const Shape& input_shape(const Node& node, std::size_t i) const {
    return graph_.nodes[static_cast<std::size_t>(node.inputs[i])].shape;
  }
  /// Whether ONNX sees [N, C*H*W] of this node.
  bool flat(int node) const { return flat_[static_cast<std::size_t>(node)]; }
  /// A new tensor with a name like `wanted`; returns the name.
  std::string initializer(const std::string& wanted, const Dims& dims, std::span<const float> values);
  /// The same for one value per channel, so that it broadcasts over the node's first input as ONNX sees it.
  std::string per_channel(const Node& node, const std::string& wanted, std::span<const double> values);
  /// A tensor of the given shape, NHWC, in the order in which ONNX sees the node's first input.
  std::string tensor(const Node& node, const std::string& wanted, const Shape& shape, std::span<const float> values);
  /// The same for integers.
  std::string integers(const std::string& wanted, std::span<const std::int64_t> values);
  /// A node before the one that is being written, with an output of its own.
  onnx::NodeProto& node_before(const std::string& wanted);
  /// Makes `out`, the node that is being written, the one before it, which goes.
  void become_last(onnx::NodeProto& out);
  /// One entry per window axis.
  Dims per_axis(std::int64_t h, std::int64_t w) const { return graph_.spatial_rank == 1 ? Dims{h} : Dims{h, w}; }
  Dims pads(std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right) const;

 private:
  void name_tensors();
  void declare(onnx::ValueInfoProto& info, int node);
  std::string unique(const std::string& wanted);
  void write_node(int index);

  const Graph& graph_;
  onnx::ModelProto model_;
  std::unordered_set<std::string> taken_;
  std::vector<std::string> tensors_;  ///< per node: the name of its output
  std::vector<bool> flat_;            ///< per node
};

void set_text(onnx::NodeProto& node, const char* name, std::string_view value);
void set_real(onnx::NodeProto& node, const char* name, float value);
void set_integer(onnx::NodeProto& node, const char* name, std::int64_t value);
void set_integers(onnx::NodeProto& node, const char* name, const FloatWriter::Dims& values);

}  // namespace qnudge
