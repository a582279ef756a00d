// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "attributes.hpp"
#include "known.hpp"
#include "onnx_tensor.hpp"
#include "pending.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Zeros around an image that nobody has read yet; a Conv or pool takes them into its window.
struct Padding {
  std::int64_t top = 0, left = 0, bottom = 0, right = 0;
  bool least = false;  ///< the smallest number instead of zeros
  bool none() const { return top == 0 && left == 0 && bottom == 0 && right == 0; }
  friend bool operator==(const Padding&, const Padding&) = default;
};

/// What an ONNX tensor stands for during import.
struct Value {
  int node = -1;     ///< activation: index into Graph::nodes
  IndexMap map;      ///< activation: where its elements, as ONNX sees them, lie in the node's NHWC output
  std::string view;  ///< activation: the last operator that only edited the map
  Padding padding;   ///< activation: [N, C, L] or [N, C, H, W] that ONNX sees around it
  std::shared_ptr<const Pending> pending;  ///< activation: a function of its elements that is still to be computed
  bool sole = true;                        ///< activation: at most one reader sees the node's output
  const StoredTensor* stored = nullptr;    ///< constant that nobody has read yet
  KnownPtr known;                          ///< constant that was computed at import
  bool computed = false;                   ///< unknown, but would be a constant: behind the shape of something unknown

  bool activation() const { return node >= 0; }
  bool constant() const { return stored != nullptr || known != nullptr; }
  bool unknown() const { return !activation() && !constant(); }  ///< behind something unsupported
};

/// A node; the builder works its shape out, but for an input and a move.
Node make_node(FloatPrimitive what, std::string name, std::vector<int> inputs, const Shape& shape = {});

/// The map of a whole NHWC tensor that ONNX sees as [N, C, H, W], or of `spatial_rank` 1 (W = 1) as [N, C, H].
IndexMap channels_first(const Shape& shape, std::size_t spatial_rank);
/// The same seen as [N, C], of a tensor without height and width.
IndexMap features(std::int64_t count);

/// The graph under construction and what every operator needs to know of the model.
struct Builder {
  Graph graph;
  int opset = 0;
  std::int64_t batch = 0;                 ///< fixed batch extent, 0 if symbolic
  bool keep_weights = true;               ///< false: weights are read and checked, but nodes hold none
  std::deque<StoredTensor> constants;     ///< tensors of Constant nodes
  std::unordered_set<std::string> names;  ///< of all nodes of the model and of its input
  std::int64_t weight_count = 0;          ///< of all nodes so far
  /// Nodes may share a tensor but each holds its own copy, so a small file could ask for any amount of memory.
  std::int64_t max_weights = 0;
  std::int64_t folded = 0;  ///< elements of all constants computed so far
  std::int64_t max_folded = 0;

  Node& node(const Value& value) { return graph.nodes[static_cast<std::size_t>(value.node)]; }
  const Shape& shape(const Value& value) { return node(value).shape; }
  /// The tensor as ONNX sees it, and as text: "[N, 16, 32, 32]".
  Extents extents(const Value& value);
  std::string describe(const Value& value);
  /// An extent as a number of shape arithmetic: a fixed batch counts, a symbolic one is N.
  Affine number(const Extent& extent) const;
  /// `wanted`, or with the first suffix that makes it unique.
  std::string unique_name(const std::string& wanted);

  /// Shape of the node's output, see shape_of.
  Shape output_of(const Node& node) const;
  /// Appends a node with its shape after checking that its output and the weights of all nodes stay within the limits.
  /// ONNX sees its output through `map`.
  Value add(Node node, IndexMap map);
  /// The same for an output that ONNX sees as [N, C, H, W], or of `spatial_rank` 1 as [N, C, H].
  Value add_spatial(Node node, std::size_t spatial_rank);

  /// The value as a node whose NHWC output is what ONNX sees as [N, C, H, W] or [N, C, L]; elements are moved only
  /// where they lie otherwise. Refuses (unsupported) other ranks.
  Value spatial(const Value& value);
  /// Whether the exported file sees the node as [N, C*H*W].
  bool is_flat(const Value& value) const { return flat_[static_cast<std::size_t>(value.node)]; }
  /// The value, [N, F], as a node that the exported file sees as [N, F].
  Value flat(const Value& value);
  /// The value as a node that holds its elements, and no others, in ONNX's order: the last axis as channels.
  Value row_major(const Value& value);
  /// The value behind an edited map; where no map can say it, its elements are moved into ONNX's order first. Refuses
  /// (unsupported) what even then would mix samples.
  Value edited(const Value& value, const std::function<std::optional<IndexMap>(const IndexMap&)>& edit);
  /// Makes two values of equal extents nodes of equal shape seen through equal maps.
  void align(Value& x, Value& y);
  /// A part of an axis: elements start, start + step, ... (`count` of them; step 0 repeats one).
  struct Piece {
    std::int64_t start, step, count;
  };
  /// For every axis the pieces of `value` that stand side by side in the result.
  Value assemble(const std::string& name, const Value& value, const std::vector<std::vector<Piece>>& pieces);
  /// Concatenation along `axis` into a tensor of extents `dims`.
  Value join(const std::string& name, const std::vector<Value>& inputs, std::size_t axis, const Extents& dims);
  /// The axis of the value that is the node's channel axis, if one is.
  std::optional<std::size_t> channel_axis(const Value& value);

  /// The value with its pending function, if it has one, as a node.
  Value computed(const Value& value);
  /// Whether the pending function is a line in each channel right behind weights, which it becomes part of.
  bool joins_layer(const Value& value);

  /// The values of a constant.
  KnownPtr known(const Value& value);
  /// To be called before a constant of these extents is computed: refuses (malformed) more than `max_folded` elements.
  void count_folded(const Extents& dims);

  /// The pending function as a line for every channel of the node.
  std::optional<std::vector<ScalarFunction::Affine>> lines(const Value& value);

 private:
  /// The name of the operator that made the view, for its first node.
  std::string name_of_view(const Value& value);
  /// A node of the given shape that holds the elements of `value` where `to` says; nothing if the maps of both have no
  /// common factors.
  std::optional<Value> move(const Value& value, const IndexMap& to, const Shape& shape);
  /// The value as a node that the exported file does not see as [N, C*H*W].
  Value unflattened(const Value& value);

  struct Moved {
    int from;
    std::optional<ElementMap::Box> box;  ///< none: a flattening view
    Shape shape;
    int node;
  };
  std::unordered_set<std::string> views_;  ///< operators whose names are taken
  std::vector<bool> flat_;                 ///< per node: the exported file sees [N, C*H*W]
  struct Computed {
    int from;
    std::shared_ptr<const Pending> what;
    int node;
  };
  std::vector<Computed> computed_;  ///< the same for functions
  std::vector<Moved> moved_;        ///< what several readers share
};

/// One ONNX node, its inputs resolved. Every accessor throws Refusal where the model does not fit.
struct NodeView {
  const onnx::NodeProto& proto;
  std::string name;           ///< unique, printable
  std::vector<Value> inputs;  ///< as many as the node lists
  std::vector<bool> present;  ///< false: an optional input that is left out
  Attributes attributes;
  bool last = false;  ///< nothing but operators that keep the order of the scores stands behind it

  bool has(std::size_t i) const { return i < inputs.size() && present[i]; }
  /// Input i, which must be computed from the network's input.
  const Value& activation(std::size_t i) const;
  /// Input i, which must be a constant; `role` names it in messages.
  const Value& constant(std::size_t i, std::string_view role) const;
  std::vector<std::int64_t> constant_dims(std::size_t i, std::string_view role) const;
  FloatTensor floats(std::size_t i, std::string_view role, NonFinite non_finite = NonFinite::refuse) const;
  /// Hands out the values of a float constant as `visit_floats` does.
  void visit(std::size_t i, std::string_view role,
             const std::function<void(std::int64_t, std::span<const float>)>& take) const;
  IntegerTensor integers(std::size_t i, std::string_view role) const;
  /// The same, where they may depend on the number of samples.
  std::vector<Affine> affine(std::size_t i, std::string_view role) const;
};

/// Integers that were the attribute `name` before opset `since` and are input `i` from then on; nothing if left out.
std::optional<std::vector<Affine>> read_argument(const Builder& builder, NodeView& view, std::string_view name,
                                                 std::size_t i, int since);
/// The same, where they must not depend on the number of samples.
std::optional<std::vector<std::int64_t>> read_fixed_argument(const Builder& builder, NodeView& view,
                                                             std::string_view name, std::size_t i, int since);
/// An axis in [0, rank), counted from behind where negative.
std::size_t normal_axis(std::int64_t axis, std::size_t rank);
/// The same for several, in ascending order, each once.
std::vector<std::size_t> normal_axes(const std::vector<std::int64_t>& axes, std::size_t rank);

/// One operator: arity and how it joins the graph, with one value, or as many as the node has outputs. Outputs without
/// a value must not be read.
struct Operator {
  std::string_view type;
  int min_inputs, max_inputs, max_outputs;
  Value (*import)(Builder&, NodeView&);
  std::vector<Value> (*import_all)(Builder&, NodeView&) = nullptr;  ///< instead of `import`
  bool element_wise = false;                                        ///< takes values with pending functions
  bool window = false;                                              ///< takes the padding around its first input
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
Value import_global_max_pool(Builder&, NodeView&);
Value import_reduce(Builder&, NodeView&);
Value import_clip(Builder&, NodeView&);
Value import_combine(Builder&, NodeView&);
Value import_pow(Builder&, NodeView&);
Value import_prelu(Builder&, NodeView&);
Value import_unary(Builder&, NodeView&);
Value import_concat(Builder&, NodeView&);
Value import_identity(Builder&, NodeView&);
Value import_dropout(Builder&, NodeView&);
Value import_constant(Builder&, NodeView&);
Value import_shape(Builder&, NodeView&);
Value import_size(Builder&, NodeView&);
Value import_edit(Builder&, NodeView&);
Value import_head(Builder&, NodeView&);
Value import_pad(Builder&, NodeView&);
Value import_resize(Builder&, NodeView&);
Value import_gather(Builder&, NodeView&);
std::vector<Value> import_split(Builder&, NodeView&);
Value import_softmax(Builder&, NodeView&);
Value import_layer_norm(Builder&, NodeView&);
Value import_lp_norm(Builder&, NodeView&);
Value import_instance_norm(Builder&, NodeView&);
Value import_group_norm(Builder&, NodeView&);
Value import_product(Builder&, NodeView&);

/// Makes a line for each channel a part of the node of x, where that is a normalisation or a product and has no other
/// reader.
bool absorb_affine(Builder& b, const Value& x, const std::vector<ScalarFunction::Affine>& lines);
/// The factor of lines that only multiply all channels by the same.
std::optional<float> uniform_scale(const std::vector<ScalarFunction::Affine>& lines);

}  // namespace qnudge
