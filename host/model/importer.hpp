// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "attributes.hpp"
#include "onnx_tensor.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// What an ONNX tensor stands for during import.
struct Value {
  int node = -1;  ///< activation: index into Graph::nodes
  /// Activation: ONNX sees [N, C*H*W] in the order of C, H, W; otherwise it sees [N, C, L] or [N, C, H, W].
  bool flat = false;
  bool sole = true;                           ///< activation: at most one reader sees the node's output
  const onnx::TensorProto* tensor = nullptr;  ///< constant

  bool activation() const { return node >= 0; }
  bool constant() const { return tensor != nullptr; }
  bool unknown() const { return !activation() && !constant(); }  ///< behind something unsupported
};

/// A node; the builder works its shape out, but for an input and a move.
Node make_node(FloatPrimitive what, std::string name, std::vector<int> inputs, const Shape& shape = {});

/// The graph under construction and what every operator needs to know of the model.
struct Builder {
  Graph graph;
  int opset = 0;
  std::int64_t batch = 0;                   ///< fixed batch extent, 0 if symbolic
  std::deque<onnx::TensorProto> constants;  ///< tensors that Constant nodes spell as attributes
  std::unordered_set<std::string> names;    ///< of all nodes of the model and of its input
  std::int64_t weight_count = 0;            ///< of all nodes so far
  /// Nodes may share a tensor but each holds its own copy, so a small file could ask for any amount of memory.
  std::int64_t max_weights = 0;

  std::size_t rank() const { return static_cast<std::size_t>(graph.spatial_rank); }
  Node& node(const Value& value) { return graph.nodes[static_cast<std::size_t>(value.node)]; }
  const Shape& shape(const Value& value) { return node(value).shape; }
  /// "[N, 16, 32, 32]": the tensor as ONNX sees it.
  std::string describe(const Value& value);
  /// `wanted`, or with the first suffix that makes it unique.
  std::string unique_name(const std::string& wanted);
  /// Shape of the node's output, see shape_of.
  Shape output_of(const Node& node) const;
  /// Appends a node with its shape after checking that its output and the weights of all nodes stay within the limits.
  Value add(Node node, bool flat);
};

/// One ONNX node, its inputs resolved. Every accessor throws Refusal where the model does not fit.
struct NodeView {
  const onnx::NodeProto& proto;
  std::string name;           ///< unique, printable
  std::vector<Value> inputs;  ///< as many as the node lists
  std::vector<bool> present;  ///< false: an optional input that is left out
  Attributes attributes;

  bool has(std::size_t i) const { return i < inputs.size() && present[i]; }
  /// Input i, which must be computed from the network's input.
  const Value& activation(std::size_t i) const;
  /// The same, and [N, C, L] or [N, C, H, W].
  const Value& spatial(std::size_t i) const;
  /// Input i, which must be a constant; `role` names it in messages.
  const onnx::TensorProto& constant(std::size_t i, std::string_view role) const;
  FloatTensor floats(std::size_t i, std::string_view role) const { return read_floats(constant(i, role)); }
};

/// One operator: arity and how it joins the graph. Outputs beyond the first must not be read.
struct Operator {
  std::string_view type;
  int min_inputs, max_inputs, max_outputs;
  Value (*import)(Builder&, NodeView&);
};

/// nullptr if the operator is not supported.
const Operator* find_operator(std::string_view type);
/// "Add, AveragePool, ...".
std::string supported_operators();

Value import_conv(Builder&, NodeView&);
Value import_conv_transpose(Builder&, NodeView&);
Value import_gemm(Builder&, NodeView&);
Value import_matmul(Builder&, NodeView&);
Value import_batch_norm(Builder&, NodeView&);
Value import_max_pool(Builder&, NodeView&);
Value import_average_pool(Builder&, NodeView&);
Value import_global_average_pool(Builder&, NodeView&);
Value import_reduce_mean(Builder&, NodeView&);
Value import_relu(Builder&, NodeView&);
Value import_clip(Builder&, NodeView&);
Value import_sigmoid(Builder&, NodeView&);
Value import_add(Builder&, NodeView&);
Value import_concat(Builder&, NodeView&);
Value import_flatten(Builder&, NodeView&);
Value import_reshape(Builder&, NodeView&);
Value import_identity(Builder&, NodeView&);
Value import_dropout(Builder&, NodeView&);
Value import_constant(Builder&, NodeView&);

}  // namespace qnudge
