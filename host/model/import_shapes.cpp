// SPDX-License-Identifier: MIT
// Elementwise operators, concatenation, views and constants.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "importer.hpp"
#include "qnudge/model/functions.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr float kNoBound = 3e38f;  ///< exporters spell "no bound" as the largest float or a little less

Value add_table(Builder& b, const NodeView& view, ScalarFunction function) {
  const Value& x = view.activation(0);
  return b.add(make_node(FloatTable{std::move(function)}, view.name, {x.node}), x.flat);
}

/// A bound of Clip: an optional constant scalar; infinities become the ends of the float range.
float read_bound(const NodeView& view, std::size_t i, float fallback, std::string_view role) {
  if (!view.has(i)) return fallback;
  const FloatTensor bound = read_floats(view.constant(i, role), NonFinite::allow);
  check(bound.values.size() == 1, "the {} have the shape {}; one value is needed", role, format_dims(bound.dims));
  constexpr float kLargest = std::numeric_limits<float>::max();
  return std::clamp(bound.values[0], -kLargest, kLargest);
}

/// The one value of `constant`, or one per channel, as it broadcasts to `x`; empty if it broadcasts otherwise.
std::vector<float> per_channel(Builder& b, const Value& x, FloatTensor constant) {
  const Shape shape = b.shape(x);
  const std::size_t rank = x.flat ? 2 : b.rank() + 2;
  if (constant.dims.size() > rank) return {};
  std::vector<std::int64_t> dims(rank - constant.dims.size(), 1);
  dims.insert(dims.end(), constant.dims.begin(), constant.dims.end());
  const std::int64_t channels = dims[1];
  dims[1] = 1;
  const bool others_are_one = std::ranges::all_of(dims, [](std::int64_t extent) { return extent == 1; });
  if (!others_are_one || (channels != 1 && channels != shape.c)) return {};
  if (channels == 1) constant.values.assign(static_cast<std::size_t>(shape.c), constant.values[0]);
  return std::move(constant.values);
}

/// An addition of a constant behind weights becomes their bias.
Value add_constant(Builder& b, const Value& x, const onnx::TensorProto& tensor) {
  auto* const layer = std::get_if<FloatLayer>(&b.node(x).what);
  check_supported(layer != nullptr && x.sole,
                  "it adds a constant to something else than the output of a Conv, Gemm or MatMul that it alone reads");
  const FloatTensor constant = read_floats(tensor);
  const std::vector<float> bias = per_channel(b, x, constant);
  check_supported(!bias.empty(), "it adds a constant of shape {} to {}; one value or one per channel is supported",
                  format_dims(constant.dims), b.describe(x));
  for (std::size_t k = 0; k < bias.size(); ++k) {
    layer->bias[k] += bias[k];
    check(std::isfinite(layer->bias[k]), "its constant overflows the bias of channel {}", k);
  }
  return x;
}

/// The axis attribute in [0, rank) of `x`.
std::int64_t read_axis(Builder& b, const Value& x, std::int64_t stated) {
  const std::int64_t rank = x.flat ? 2 : static_cast<std::int64_t>(b.rank()) + 2;
  check(stated >= -rank && stated <= rank, "axis is {}, but the rank is {}", stated, rank);
  return stated < 0 ? stated + rank : stated;
}

Value flatten(Builder& b, const NodeView& view, const Value& x) {
  if (x.flat) return x;
  return b.add(make_node(FloatMove{}, view.name, {x.node}, b.shape(x)), true);
}

/// Whether `target` means [N, F]: the batch axis may be copied (0), inferred (-1) or stated as the model fixes it.
bool keeps_batch(const Builder& b, const std::vector<std::int64_t>& target, std::int64_t features, bool allow_zero) {
  if (target.size() != 2) return false;
  const auto [batch, rest] = std::pair{target[0], target[1]};
  const bool batch_known = (batch == 0 && !allow_zero) || (b.batch > 0 && batch == b.batch);
  return (batch_known && (rest == -1 || rest == features)) || (batch == -1 && rest == features);
}

}  // namespace

Value import_relu(Builder& b, NodeView& view) {
  return add_table(b, view, relu_function());
}

Value import_sigmoid(Builder& b, NodeView& view) {
  return add_table(b, view, sigmoid_function());
}

Value import_clip(Builder& b, NodeView& view) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float low = read_bound(view, 1, -kLargest, "lower bounds");
  const float high = read_bound(view, 2, kLargest, "upper bounds");
  check(low <= high, "its lower bound {} is above its upper bound {}", low, high);
  if (low == 0 && high >= kNoBound) return add_table(b, view, relu_function());
  return add_table(b, view, clip_function(low + 0.0f, high + 0.0f));  // + 0: no negative zero
}

Value import_add(Builder& b, NodeView& view) {
  check(view.has(0) && view.has(1), "an input is left out");
  const Value& x = view.inputs[0];
  const Value& y = view.inputs[1];
  check_supported(!x.constant() || !y.constant(), "both inputs are constants; constant arithmetic is not folded");
  if (y.constant()) return add_constant(b, x, *y.tensor);
  if (x.constant()) return add_constant(b, y, *x.tensor);
  check_supported(x.flat == y.flat && b.shape(x) == b.shape(y), "it adds {} and {}; equal shapes are supported",
                  b.describe(x), b.describe(y));
  return b.add(make_node(FloatCombine{}, view.name, {x.node, y.node}), x.flat);
}

Value import_concat(Builder& b, NodeView& view) {
  const Value first = view.activation(0);
  check(view.attributes.find("axis") != nullptr, "axis is missing");
  const std::int64_t axis = read_axis(b, first, view.attributes.integer("axis", 1));
  check_supported(axis == 1, "it concatenates along axis {}; the channel axis 1 is supported", axis);
  Node node = make_node(FloatMove{}, view.name, {});
  std::vector<Shape> shapes;
  node.shape = {b.shape(first).h, b.shape(first).w, 0};
  for (std::size_t i = 0; i < view.inputs.size(); ++i) {
    const Value& x = view.activation(i);
    const Shape shape = b.shape(x);
    check_supported(x.flat == first.flat && shape.h == node.shape.h && shape.w == node.shape.w,
                    "it concatenates {} and {}; equal extents in height and width are supported", b.describe(first),
                    b.describe(x));
    node.inputs.push_back(x.node);
    shapes.push_back(shape);
    node.shape.c += shape.c;
  }
  if (node.inputs.size() == 1) return first;
  node.what = FloatMove{joined_channels(shapes)};
  return b.add(std::move(node), first.flat);
}

Value import_flatten(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const std::int64_t axis = read_axis(b, x, view.attributes.integer("axis", 1));
  check_supported(axis == 1, "it flattens from axis {}; axis 1 is supported", axis);
  return flatten(b, view, x);
}

Value import_reshape(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const bool allow_zero = view.attributes.integer("allowzero", 0) != 0;
  const std::vector<std::int64_t> target = read_integers(view.constant(1, "target extents")).values;
  check_supported(keeps_batch(b, target, b.shape(x).size(), allow_zero),
                  "it reshapes {} to {}; only flattening to [N, {}] is supported", b.describe(x), format_dims(target),
                  b.shape(x).size());
  return flatten(b, view, x);
}

Value import_identity(Builder&, NodeView& view) {
  check(view.has(0), "input 0 is left out");
  return view.inputs[0];
}

Value import_dropout(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  view.attributes.real("ratio", 0.5f);  // of no effect in inference, like the seed and the input of the same name
  if (b.opset >= 12) view.attributes.integer("seed", 0);
  if (view.has(1)) view.constant(1, "ratios");
  if (view.has(2)) {
    const IntegerTensor training = read_integers(view.constant(2, "training modes"));
    check_supported(std::ranges::all_of(training.values, [](std::int64_t v) { return v == 0; }),
                    "it is in training mode");
  }
  return x;
}

Value import_constant(Builder& b, NodeView& view) {
  const onnx::AttributeProto* value = view.attributes.find("value");
  if (value != nullptr) {
    check(value->type() == onnx::AttributeProto::TENSOR, "the attribute 'value' is no tensor");
    return {.tensor = &value->t()};
  }
  onnx::TensorProto& tensor = b.constants.emplace_back();
  tensor.set_name(view.name);
  if (const auto* attribute = view.attributes.find("value_float")) {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_float_data(attribute->f());
  } else if (const auto* list = view.attributes.find("value_floats")) {
    tensor.set_data_type(onnx::TensorProto::FLOAT);
    tensor.add_dims(list->floats_size());
    *tensor.mutable_float_data() = list->floats();
  } else if (const auto* integer = view.attributes.find("value_int")) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_int64_data(integer->i());
  } else if (const auto* integers = view.attributes.find("value_ints")) {
    tensor.set_data_type(onnx::TensorProto::INT64);
    tensor.add_dims(integers->ints_size());
    *tensor.mutable_int64_data() = integers->ints();
  } else {
    unsupported("its value is missing, sparse or text; a dense tensor is needed");
  }
  return {.tensor = &tensor};
}

}  // namespace qnudge
