// SPDX-License-Identifier: MIT
#include "importer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr int kMany = 1 << 30;

constexpr std::array kOperators = {
    Operator{"Abs", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Add", 2, 2, 1, import_combine, nullptr, true},
    Operator{"ArgMax", 1, 1, 1, import_head},
    Operator{"AveragePool", 1, 1, 1, import_average_pool, nullptr, false, true},
    Operator{"BatchNormalization", 5, 5, 5, import_batch_norm},
    Operator{"Ceil", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Celu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Clip", 1, 3, 1, import_clip, nullptr, true},
    Operator{"Concat", 1, kMany, 1, import_concat},
    Operator{"Constant", 0, 0, 1, import_constant},
    Operator{"Conv", 2, 3, 1, import_conv, nullptr, false, true},
    Operator{"ConvTranspose", 2, 3, 1, import_conv_transpose},
    Operator{"DepthToSpace", 1, 1, 1, import_edit},
    Operator{"Div", 2, 2, 1, import_combine, nullptr, true},
    Operator{"Dropout", 1, 3, 2, import_dropout, nullptr, true},
    Operator{"Elu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Erf", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Exp", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Expand", 2, 2, 1, import_edit},
    Operator{"Flatten", 1, 1, 1, import_edit},
    Operator{"Floor", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Gather", 2, 2, 1, import_gather},
    Operator{"Gelu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Gemm", 2, 3, 1, import_gemm},
    Operator{"GlobalAveragePool", 1, 1, 1, import_global_average_pool},
    Operator{"GlobalMaxPool", 1, 1, 1, import_global_max_pool},
    Operator{"GroupNormalization", 3, 3, 1, import_group_norm},
    Operator{"HardSigmoid", 1, 1, 1, import_unary, nullptr, true},
    Operator{"HardSwish", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Identity", 1, 1, 1, import_identity, nullptr, true},
    Operator{"InstanceNormalization", 3, 3, 1, import_instance_norm},
    Operator{"LayerNormalization", 1, 3, 3, import_layer_norm},
    Operator{"LeakyRelu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Log", 1, 1, 1, import_unary, nullptr, true},
    Operator{"LogSoftmax", 1, 1, 1, import_head},
    Operator{"LpNormalization", 1, 1, 1, import_lp_norm},
    Operator{"MatMul", 2, 2, 1, import_matmul, nullptr, true},
    Operator{"Max", 1, kMany, 1, import_combine, nullptr, true},
    Operator{"MaxPool", 1, 1, 2, import_max_pool, nullptr, false, true},
    Operator{"Mean", 1, kMany, 1, import_combine, nullptr, true},
    Operator{"Min", 1, kMany, 1, import_combine, nullptr, true},
    Operator{"Mish", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Mul", 2, 2, 1, import_combine, nullptr, true},
    Operator{"Neg", 1, 1, 1, import_unary, nullptr, true},
    Operator{"PRelu", 2, 2, 1, import_prelu, nullptr, true},
    Operator{"Pad", 1, 4, 1, import_pad, nullptr, false, true},
    Operator{"Pow", 2, 2, 1, import_pow, nullptr, true},
    Operator{"RMSNormalization", 1, 2, 1, import_layer_norm},
    Operator{"Reciprocal", 1, 1, 1, import_unary, nullptr, true},
    Operator{"ReduceMax", 1, 2, 1, import_reduce},
    Operator{"ReduceMean", 1, 2, 1, import_reduce},
    Operator{"ReduceSum", 1, 2, 1, import_reduce},
    Operator{"Relu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Reshape", 2, 2, 1, import_edit},
    Operator{"Resize", 1, 4, 1, import_resize},
    Operator{"Round", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Selu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Shape", 1, 1, 1, import_shape, nullptr, true},
    Operator{"Sigmoid", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Size", 1, 1, 1, import_size, nullptr, true},
    Operator{"Slice", 1, 5, 1, import_edit},
    Operator{"Softmax", 1, 1, 1, import_softmax},
    Operator{"Softplus", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Softsign", 1, 1, 1, import_unary, nullptr, true},
    Operator{"SpaceToDepth", 1, 1, 1, import_edit},
    Operator{"Split", 1, 2, kMany, nullptr, import_split},
    Operator{"Sqrt", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Squeeze", 1, 2, 1, import_edit},
    Operator{"Sub", 2, 2, 1, import_combine, nullptr, true},
    Operator{"Sum", 1, kMany, 1, import_combine, nullptr, true},
    Operator{"Tanh", 1, 1, 1, import_unary, nullptr, true},
    Operator{"ThresholdedRelu", 1, 1, 1, import_unary, nullptr, true},
    Operator{"Transpose", 1, 1, 1, import_edit},
    Operator{"Unsqueeze", 1, 2, 1, import_edit},
    Operator{"Upsample", 1, 2, 1, import_resize},
};

}  // namespace

const Operator* find_operator(std::string_view type) {
  const auto it = std::ranges::find(kOperators, type, &Operator::type);
  return it == kOperators.end() ? nullptr : &*it;
}

std::string supported_operators() {
  std::vector<std::string_view> types;
  for (const Operator& op : kOperators) types.push_back(op.type);
  return fmt::format("{}", fmt::join(types, ", "));
}

const Value& NodeView::activation(std::size_t i) const {
  check(has(i), "input {} is left out", i);
  check_supported(inputs[i].activation(), "input {} is a constant, which this operator cannot take there", i);
  return inputs[i];
}

const Value& NodeView::constant(std::size_t i, std::string_view role) const {
  check(has(i), "the {} (input {}) are left out", role, i);
  check_supported(inputs[i].constant(), "the {} (input {}) are computed by the network; constants are needed", role, i);
  return inputs[i];
}

std::vector<std::int64_t> NodeView::constant_dims(std::size_t i, std::string_view role) const {
  const Value& value = constant(i, role);
  if (value.stored != nullptr) {
    checked_elements(*value.stored);
    return dims_of(*value.stored);
  }
  std::vector<std::int64_t> dims;
  for (const Extent& extent : value.known->dims) dims.push_back(extent.count);
  return dims;
}

FloatTensor NodeView::floats(std::size_t i, std::string_view role, NonFinite non_finite) const {
  const Value& value = constant(i, role);
  if (value.stored != nullptr) return read_floats(*value.stored, non_finite);
  FloatTensor read = fixed_floats(*value.known, role);
  for (const float number : read.values) {
    check(std::isfinite(number) || (non_finite == NonFinite::allow && !std::isnan(number)),
          "the {} hold {}; finite values are needed", role, number);
  }
  return read;
}

void NodeView::visit(std::size_t i, std::string_view role,
                     const std::function<void(std::int64_t, std::span<const float>)>& take) const {
  const Value& value = constant(i, role);
  if (value.stored != nullptr) return visit_floats(*value.stored, NonFinite::refuse, take);
  take(0, floats(i, role).values);
}

IntegerTensor NodeView::integers(std::size_t i, std::string_view role) const {
  const Value& value = constant(i, role);
  return value.stored != nullptr ? read_integers(*value.stored) : fixed_integers(*value.known, role);
}

std::vector<Affine> NodeView::affine(std::size_t i, std::string_view role) const {
  const Value& value = constant(i, role);
  if (value.stored == nullptr) {
    check(!value.known->is_real(), "the {} are no integers", role);
    return value.known->integers;
  }
  std::vector<Affine> values;
  const IntegerTensor read = read_integers(*value.stored);
  for (const std::int64_t number : read.values) values.push_back({number});
  return values;
}

std::optional<std::vector<Affine>> read_argument(const Builder& builder, NodeView& view, std::string_view name,
                                                 std::size_t i, int since) {
  if (builder.opset >= since) {
    return view.has(i) ? std::optional(view.affine(i, name)) : std::nullopt;
  }
  check(!view.has(i), "the {} are an input only since opset {}", name, since);
  const auto list = view.attributes.integers(name);
  if (!list) return std::nullopt;
  std::vector<Affine> values;
  for (const std::int64_t number : *list) values.push_back({number});
  return values;
}

std::optional<std::vector<std::int64_t>> read_fixed_argument(const Builder& builder, NodeView& view,
                                                             std::string_view name, std::size_t i, int since) {
  const auto values = read_argument(builder, view, name, i, since);
  if (!values) return std::nullopt;
  return fixed_integers(known_integers({static_cast<std::int64_t>(values->size())}, *values), name).values;
}

std::size_t normal_axis(std::int64_t axis, std::size_t rank) {
  const auto limit = static_cast<std::int64_t>(rank);
  check(axis >= -limit && axis < limit, "an axis is {}, but the rank is {}", axis, rank);
  return static_cast<std::size_t>(axis < 0 ? axis + limit : axis);
}

std::vector<std::size_t> normal_axes(const std::vector<std::int64_t>& axes, std::size_t rank) {
  std::vector<std::size_t> normal;
  for (const std::int64_t axis : axes) normal.push_back(normal_axis(axis, rank));
  std::ranges::sort(normal);
  check(std::ranges::adjacent_find(normal) == normal.end(), "the axes {} name one twice", format_dims(axes));
  return normal;
}

}  // namespace qnudge
