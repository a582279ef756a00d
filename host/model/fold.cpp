// SPDX-License-Identifier: MIT
#include "fold.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr int kMany = 1 << 30;

constexpr std::array kFolds = {
    FoldOperator{"Abs", 1, 1, 1, fold_unary},
    FoldOperator{"Add", 2, 2, 1, fold_binary},
    FoldOperator{"And", 2, 2, 1, fold_logic},
    FoldOperator{"BatchNormalization", 5, 5, 5, fold_batch_norm},
    FoldOperator{"Cast", 1, 1, 1, fold_cast},
    FoldOperator{"CastLike", 2, 2, 1, fold_cast},
    FoldOperator{"Ceil", 1, 1, 1, fold_unary},
    FoldOperator{"Clip", 1, 3, 1, fold_clip},
    FoldOperator{"Concat", 1, kMany, 1, fold_concat},
    FoldOperator{"ConstantOfShape", 1, 1, 1, fold_constant_of_shape},
    FoldOperator{"Cos", 1, 1, 1, fold_unary},
    FoldOperator{"CumSum", 2, 2, 1, fold_running_sum},
    FoldOperator{"Div", 2, 2, 1, fold_binary},
    FoldOperator{"Equal", 2, 2, 1, fold_compare},
    FoldOperator{"Erf", 1, 1, 1, fold_unary},
    FoldOperator{"Exp", 1, 1, 1, fold_unary},
    FoldOperator{"Expand", 2, 2, 1, fold_edit},
    FoldOperator{"Flatten", 1, 1, 1, fold_edit},
    FoldOperator{"Floor", 1, 1, 1, fold_unary},
    FoldOperator{"Gather", 2, 2, 1, fold_gather},
    FoldOperator{"Greater", 2, 2, 1, fold_compare},
    FoldOperator{"GreaterOrEqual", 2, 2, 1, fold_compare},
    FoldOperator{"Less", 2, 2, 1, fold_compare},
    FoldOperator{"LessOrEqual", 2, 2, 1, fold_compare},
    FoldOperator{"Log", 1, 1, 1, fold_unary},
    FoldOperator{"Max", 1, kMany, 1, fold_variadic},
    FoldOperator{"Min", 1, kMany, 1, fold_variadic},
    FoldOperator{"Mod", 2, 2, 1, fold_binary},
    FoldOperator{"Mul", 2, 2, 1, fold_binary},
    FoldOperator{"Neg", 1, 1, 1, fold_unary},
    FoldOperator{"Not", 1, 1, 1, fold_logic},
    FoldOperator{"Or", 2, 2, 1, fold_logic},
    FoldOperator{"Pad", 1, 4, 1, fold_pad},
    FoldOperator{"Pow", 2, 2, 1, fold_binary},
    FoldOperator{"Range", 3, 3, 1, fold_range},
    FoldOperator{"Reciprocal", 1, 1, 1, fold_unary},
    FoldOperator{"ReduceL1", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceL2", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceMax", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceMean", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceMin", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceProd", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceSum", 1, 2, 1, fold_reduction},
    FoldOperator{"ReduceSumSquare", 1, 2, 1, fold_reduction},
    FoldOperator{"Relu", 1, 1, 1, fold_unary},
    FoldOperator{"Reshape", 2, 2, 1, fold_edit},
    FoldOperator{"Round", 1, 1, 1, fold_unary},
    FoldOperator{"ScatterND", 3, 3, 1, fold_scatter},
    FoldOperator{"Sigmoid", 1, 1, 1, fold_unary},
    FoldOperator{"Sign", 1, 1, 1, fold_unary},
    FoldOperator{"Sin", 1, 1, 1, fold_unary},
    FoldOperator{"Slice", 1, 5, 1, fold_edit},
    FoldOperator{"Softplus", 1, 1, 1, fold_unary},
    FoldOperator{"Split", 1, 2, kMany, fold_split},
    FoldOperator{"Sqrt", 1, 1, 1, fold_unary},
    FoldOperator{"Squeeze", 1, 2, 1, fold_edit},
    FoldOperator{"Sub", 2, 2, 1, fold_binary},
    FoldOperator{"Sum", 1, kMany, 1, fold_variadic},
    FoldOperator{"Tan", 1, 1, 1, fold_unary},
    FoldOperator{"Tanh", 1, 1, 1, fold_unary},
    FoldOperator{"Tile", 2, 2, 1, fold_tile},
    FoldOperator{"Transpose", 1, 1, 1, fold_edit},
    FoldOperator{"Unsqueeze", 1, 2, 1, fold_edit},
    FoldOperator{"Where", 3, 3, 1, fold_where},
    FoldOperator{"Xor", 2, 2, 1, fold_logic},
};

/// Sums in double, rounded once.
float reduce(std::string_view type, const std::vector<double>& values) {
  double result = type == "ReduceProd" ? 1 : type == "ReduceMax" || type == "ReduceMin" ? values[0] : 0;
  for (const double value : values) {
    if (type == "ReduceProd") {
      result *= value;
    } else if (type == "ReduceMax") {
      result = std::max(result, value);
    } else if (type == "ReduceMin") {
      result = std::min(result, value);
    } else if (type == "ReduceL1") {
      result += std::abs(value);
    } else {
      result += type == "ReduceL2" || type == "ReduceSumSquare" ? value * value : value;
    }
  }
  if (type == "ReduceMean") result /= static_cast<double>(values.size());
  return static_cast<float>(type == "ReduceL2" ? std::sqrt(result) : result);
}

Affine reduce(std::string_view type, const std::vector<Affine>& values) {
  check_supported(type == "ReduceProd" || type == "ReduceSum" || type == "ReduceMax" || type == "ReduceMin",
                  "it takes integers");
  Affine result = values[0];
  for (std::size_t i = 1; i < values.size(); ++i) {
    if (type == "ReduceProd") {
      result = result * values[i];
    } else if (type == "ReduceSum") {
      result = result + values[i];
    } else if ((sign_of(values[i] - result) > 0) == (type == "ReduceMax")) {
      result = values[i];
    }
  }
  return result;
}

}  // namespace

const FoldOperator* find_fold(std::string_view type) {
  const auto it = std::ranges::find(kFolds, type, &FoldOperator::type);
  return it == kFolds.end() ? nullptr : &*it;
}

const Known& FoldView::in(std::size_t i) const {
  check(has(i), "input {} is left out", i);
  return *inputs[i];
}

Extents broadcast(const Extents& a, const Extents& b) {
  Extents all(std::max(a.size(), b.size()));
  for (std::size_t i = 1; i <= all.size(); ++i) {
    const Extent x = i <= a.size() ? a[a.size() - i] : Extent{}, y = i <= b.size() ? b[b.size() - i] : Extent{};
    check(x == y || x == Extent{} || y == Extent{}, "{} and {} do not broadcast to each other", format_extents(a),
          format_extents(b));
    all[all.size() - i] = x == Extent{} ? y : x;
  }
  return all;
}

IndexMap broadcast_map(const IndexMap& from, const Extents& to) {
  IndexMap map = from;
  while (map.rank() < to.size()) map = map.insert_axis(0);
  const Extents dims = map.dims();
  for (std::size_t i = 0; i < to.size(); ++i) {
    if (dims[i] != to[i]) map = map.repeat(i, to[i]);
  }
  return map;
}

std::vector<Known> fold_reduction(FoldView& f) {
  const Known& from = f.in(0);
  const std::string_view type = f.node.proto.op_type();
  const std::size_t rank = from.dims.size();
  const bool keep = f.node.attributes.integer("keepdims", 1) != 0;
  const bool nothing = f.node.attributes.integer("noop_with_empty_axes", 0) != 0;
  const auto stated = read_fixed_argument(f.builder, f.node, "axes", 1, type == "ReduceSum" ? 13 : 18);
  std::vector<std::size_t> axes = normal_axes(stated.value_or(std::vector<std::int64_t>{}), rank);
  if (axes.empty() && nothing) return {from};
  for (std::size_t i = 0; axes.size() < rank && (!stated || stated->empty()) && i < rank; ++i) axes.push_back(i);
  std::vector<std::size_t> order;
  Known result;
  result.type = from.type;
  std::int64_t run = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool reduced = std::ranges::binary_search(axes, i);
    if (!reduced) order.push_back(i);
    if (!reduced || keep) result.dims.push_back(reduced ? Extent{} : from.dims[i]);
    check_supported(!reduced || !from.dims[i].batch, "it reduces over the samples");
    if (reduced) run *= from.dims[i].count;
  }
  order.insert(order.end(), axes.begin(), axes.end());
  check(from.size() > 0, "it reduces an empty tensor");
  f.builder.count_folded(from.dims);
  const auto places = IndexMap::row_major(from.dims).transpose(order).places();
  std::vector<double> reals(static_cast<std::size_t>(run));
  std::vector<Affine> integers(static_cast<std::size_t>(run));
  for (auto place = places.begin(); place != places.end(); place += run) {
    if (from.is_real()) {
      std::transform(place, place + run, reals.begin(),
                     [&](std::int64_t at) { return double{from.reals[static_cast<std::size_t>(at)]}; });
      result.reals.push_back(reduce(type, reals));
    } else {
      std::transform(place, place + run, integers.begin(),
                     [&](std::int64_t at) { return from.integers[static_cast<std::size_t>(at)]; });
      result.integers.push_back(reduce(type, integers));
    }
  }
  return {std::move(result)};
}

/// CumSum: running sums along an axis, in double, each rounded once.
std::vector<Known> fold_running_sum(FoldView& f) {
  Known result = f.in(0);
  const std::size_t axis = normal_axis(only(fixed_integers(f.in(1), "axes").values), result.dims.size());
  check_supported(!result.dims[axis].batch, "it adds up the samples");
  check_supported(f.node.attributes.integer("exclusive", 0) == 0 && f.node.attributes.integer("reverse", 0) == 0,
                  "its sums leave out an element or run backwards");
  f.builder.count_folded(result.dims);
  std::int64_t inner = 1;
  for (std::size_t i = axis + 1; i < result.dims.size(); ++i) inner *= result.dims[i].count;
  const std::int64_t extent = result.dims[axis].count, size = result.size();
  for (std::int64_t first = 0; first < size; first += inner * extent) {
    for (std::int64_t column = first; column < first + inner; ++column) {
      double real = 0;
      Affine integer{};
      for (std::int64_t k = 0; k < extent; ++k) {
        const auto at = static_cast<std::size_t>(column + k * inner);
        if (result.is_real()) {
          real += static_cast<double>(result.reals[at]);
          result.reals[at] = static_cast<float>(real);
        } else {
          integer = integer + result.integers[at];
          result.integers[at] = integer;
        }
      }
    }
  }
  return {std::move(result)};
}

namespace {

/// Mean and variance of the elements at `places`.
std::pair<double, double> moments(const std::vector<float>& values, std::span<const std::int64_t> places) {
  const auto mean_of = [&](const auto& f) {
    double total = 0;
    for (const std::int64_t at : places) total += f(static_cast<double>(values[static_cast<std::size_t>(at)]));
    return total / static_cast<double>(places.size());
  };
  const double mean = mean_of([](double v) { return v; });
  return {mean, mean_of([&](double v) { return (v - mean) * (v - mean); })};
}

std::vector<std::size_t> channels_outermost(const Extents& dims) {
  std::vector<std::size_t> order{1, 0};
  for (std::size_t i = 2; i < dims.size(); ++i) order.push_back(i);
  return order;
}

}  // namespace

/// Of weights that are standardised: in training mode by their own mean and variance. Only the first output is known.
std::vector<Known> fold_batch_norm(FoldView& f) {
  const Known& from = f.in(0);
  check(from.is_real() && from.dims.size() >= 2, "it normalises no tensor of [N, C, ...]");
  for (const Extent& extent : from.dims) check_supported(!extent.batch, "it normalises over the samples");
  const auto channels = static_cast<std::size_t>(from.dims[1].count);
  const double epsilon = f.node.attributes.real("epsilon", 1e-5f);
  f.node.attributes.real("momentum", 0.9f);
  const bool training =
      f.builder.opset < 14 ? f.node.proto.output_size() > 1 : f.node.attributes.integer("training_mode", 0) != 0;
  std::array<std::vector<float>, 4> constants;  // scale, bias, mean, variance
  for (std::size_t i = 0; i < constants.size(); ++i) {
    constants[i] = fixed_floats(f.in(i + 1), "constants").values;
    check(constants[i].size() == channels, "its input {} has {} values for {} channels", i + 1, constants[i].size(),
          channels);
  }
  f.builder.count_folded(from.dims);
  Known result = from;
  const std::vector<std::int64_t> places =
      IndexMap::row_major(from.dims).transpose(channels_outermost(from.dims)).places();
  const std::size_t run = channels == 0 ? 0 : places.size() / channels;
  for (std::size_t c = 0; c < channels && run > 0; ++c) {
    const auto own = std::span(places).subspan(c * run, run);
    const auto [mean, variance] =
        training ? moments(from.reals, own)
                 : std::pair{static_cast<double>(constants[2][c]), static_cast<double>(constants[3][c])};
    const double scale = static_cast<double>(constants[0][c]) / std::sqrt(variance + epsilon);
    for (const std::int64_t at : own) {
      float& value = result.reals[static_cast<std::size_t>(at)];
      value = static_cast<float>((static_cast<double>(value) - mean) * scale + static_cast<double>(constants[1][c]));
    }
  }
  return {std::move(result)};
}

}  // namespace qnudge
