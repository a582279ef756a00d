// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qnudge/core/shape.hpp"
#include "qnudge/model/ends.hpp"
#include "qnudge/model/primitives.hpp"

namespace qnudge {

struct Node {
  FloatPrimitive what;
  std::string name;         ///< ONNX node name, made unique; the input's tensor name for the input
  std::vector<int> inputs;  ///< indices of earlier nodes
  Shape shape;              ///< of the output, per sample

  /// The weights and their geometry, if the node has any.
  const FloatLayer* layer() const { return std::get_if<FloatLayer>(&what); }
};

/// A float network with one input and one output; nodes are in topological order, every node reaches the output.
struct Graph {
  std::vector<Node> nodes;  ///< nodes[0] is the input
  int output = 0;
  std::string input_name, output_name;  ///< tensor names, kept for export
  int spatial_rank = 2;                 ///< 2: NCHW in ONNX; 1: NCL
  Ends ends;                            ///< what exported files have around it
  std::string fingerprint;              ///< of everything above that decides a result

  const Shape& input_shape() const { return nodes.front().shape; }
  const Shape& output_shape() const { return nodes[static_cast<std::size_t>(output)].shape; }
};

/// What a node does, in one word: "conv", "relu", "max_pool", ...
std::string_view kind_of(const Node& node);

/// Shape that follows from the shapes of the node's inputs, extents 0 where a window does not fit; of an input and of a
/// move the one that the node states. Throws Error(kind internal) where the inputs do not go together.
Shape shape_of(const Node& node, std::span<const Shape> inputs);

/// The bounds of a node that does nothing but bound its input (Relu, Clip).
std::optional<ScalarFunction::Bounds> bounds_of(const Node& node);

/// Readers of each node, in ascending order.
std::vector<std::vector<int>> consumers(const Graph& graph);

}  // namespace qnudge
