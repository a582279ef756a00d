// SPDX-License-Identifier: MIT
// Operators of two elements at the same place.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "elementwise.hpp"
#include "fold.hpp"
#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using F = ScalarFunction;
using Order = std::vector<std::size_t>;

struct Row {
  std::string_view type;
  CombineKind kind;
  F::Op op;
};
constexpr std::array kRows = {
    Row{"Add", CombineKind::add, F::Op::add},           Row{"Div", CombineKind::divide, F::Op::divide},
    Row{"Max", CombineKind::maximum, F::Op::maximum},   Row{"Mean", CombineKind::add, F::Op::add},
    Row{"Min", CombineKind::minimum, F::Op::minimum},   Row{"Mul", CombineKind::multiply, F::Op::multiply},
    Row{"Sub", CombineKind::subtract, F::Op::subtract}, Row{"Sum", CombineKind::add, F::Op::add}};

/// Both as functions of the same tensor; parameters of the second follow those of the first.
Value meet(Builder& b, const std::string& name, const Row& row, const Value& x, const Value& y) {
  const auto pending = [](const Value& value) { return value.pending ? *value.pending : Pending{}; };
  const Pending u = pending(x), v = pending(y);
  ChannelValues parameters = u.parameters;
  parameters.insert(parameters.end(), v.parameters.begin(), v.parameters.end());
  Value base = x;
  base.pending = nullptr;
  base.sole = false;
  return apply_function(b, name, base, F::of(row.op, u.function, v.function.renumbered(u.parameters.size())),
                        parameters);
}

/// With axes of extent 1 before the others.
Value raised(Value value, std::size_t rank) {
  while (value.map.rank() < rank) value.map = value.map.insert_axis(0);
  return value;
}

/// The order of axes in which an image lies as [N, C, H, W] or [N, C, L] in its node; as it stands if none does.
Order stored_order(Builder& b, const Value& value) {
  const std::size_t rank = value.map.rank();
  Order as_is(rank);
  for (std::size_t i = 0; i < rank; ++i) as_is[i] = i;
  Order last = as_is;
  std::rotate(last.begin() + 1, last.end() - 1, last.end());
  const IndexMap turned = value.map.transpose(last);
  return turned == channels_first(b.shape(value), rank - 2) ? last : as_is;
}

Order inverse(const Order& order) {
  Order back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
  return back;
}

/// One operand repeated along axes of the other.
Value repeat_and_combine(Builder& b, const std::string& name, CombineKind kind, const Value& x, const Value& y) {
  const Extents dims = x.map.dims(), other = y.map.dims();
  const std::size_t rank = dims.size();
  check_supported(dims[0] == other[0] && dims[0] == (Extent{1, true}),
                  "it combines {} and {}, which are not sample by sample", b.describe(x), b.describe(y));
  const Extents joined = broadcast(dims, other);
  for (const bool first : {true, false}) {
    const Value &whole = first ? x : y, &one = first ? y : x;
    if (whole.map.dims() != joined || one.map.size() != 1) continue;
    Value scalar = b.row_major(one);
    scalar.map = b.is_flat(whole) ? features(1) : channels_first({}, 2);
    scalar = b.is_flat(whole) ? b.flat(scalar) : b.spatial(scalar);
    return b.add(make_node(FloatCombine{.kind = kind}, name,
                           first ? std::vector{whole.node, scalar.node} : std::vector{scalar.node, whole.node}),
                 whole.map);
  }
  check_supported(rank == 3 || rank == 4, "it combines {} and {}; broadcasting is supported between images",
                  b.describe(x), b.describe(y));
  const Order order = stored_order(b, x.map.dims() == joined ? x : y);
  Value u = x, v = y;
  u.map = u.map.transpose(order);
  v.map = v.map.transpose(order);
  u = b.spatial(u);
  v = b.spatial(v);
  Value z = b.add_spatial(make_node(FloatCombine{.kind = kind}, name, {u.node, v.node}), rank - 2);
  z.map = z.map.transpose(inverse(order));
  return z;
}

Value combine(Builder& b, const std::string& name, const Row& row, Value x, Value y) {
  if (x.node == y.node && x.map == y.map && (x.pending || y.pending || row.kind != CombineKind::add)) {
    return meet(b, name, row, x, y);
  }
  x = b.computed(x);
  y = b.computed(y);
  const std::size_t rank = std::max(x.map.rank(), y.map.rank());
  x = raised(std::move(x), rank);
  y = raised(std::move(y), rank);
  if (x.map.dims() != y.map.dims()) return repeat_and_combine(b, name, row.kind, x, y);
  b.align(x, y);
  return b.add(make_node(FloatCombine{.kind = row.kind}, name, {x.node, y.node}), x.map);
}

/// An addition behind weights becomes their bias.
bool add_to_bias(Builder& b, const Value& x, const ConstantFunction& constant) {
  auto* const layer = std::get_if<FloatLayer>(&b.node(x).what);
  if (layer == nullptr || !x.sole || x.pending) return false;
  for (std::size_t k = 0; k < layer->bias.size(); ++k) {
    const double value = constant.parameters.empty() ? constant.function(0) : constant.parameters[0][k];
    layer->bias[k] += static_cast<float>(value);
    check(std::isfinite(layer->bias[k]), "its constant overflows the bias of channel {}", k);
  }
  return true;
}

Value combine_with_constant(Builder& b, NodeView& view, const std::string& name, const Row& row, const Value& x,
                            std::size_t i) {
  const bool first = i == 0;
  const FloatTensor tensor = view.floats(i, "constant", NonFinite::allow);
  const auto constant = per_channel(b, x, tensor);
  if (!constant) return combine_with_tensor(b, name, row.kind, x, tensor, first);
  if (row.kind == CombineKind::add && add_to_bias(b, x, *constant)) return x;
  check(row.kind != CombineKind::divide || first || std::ranges::count(tensor.values, 0.0f) == 0, "it divides by 0");
  const F f = first ? F::of(row.op, constant->function, F()) : F::of(row.op, F(), constant->function);
  return apply_function(b, name, x, f, constant->parameters);
}

}  // namespace

Value combine_with_tensor(Builder& b, const std::string& name, CombineKind kind, const Value& input,
                          const FloatTensor& constant, bool first) {
  Value x = b.computed(input);
  const Extents dims = x.map.dims();
  Extents own;
  for (const std::int64_t extent : constant.dims) own.push_back({extent});
  check_supported(own.size() <= dims.size(), "its constant of shape {} has more axes than {}",
                  format_dims(constant.dims), b.describe(x));
  IndexMap map = IndexMap::row_major(own);
  while (map.rank() < dims.size()) map = map.insert_axis(0);
  Extents sample = dims;
  for (Extent& extent : sample) extent.batch = false;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const std::int64_t extent = map.dims()[i].count;
    check_supported(extent == 1 || extent == sample[i].count, "its constant of shape {} does not broadcast to {}",
                    format_dims(constant.dims), b.describe(x));
  }
  b.count_folded(sample);
  if (x.map.size() != b.shape(x).size()) x = b.row_major(x);
  const std::vector<std::int64_t> from = broadcast_map(map, sample).places(), to = x.map.places();
  FloatCombine node{.kind = kind, .constant = {}, .constant_shape = b.shape(x), .constant_first = first};
  node.constant.resize(to.size());
  for (std::size_t i = 0; i < to.size(); ++i) {
    node.constant[static_cast<std::size_t>(to[i])] = constant.values[static_cast<std::size_t>(from[i])];
  }
  Value y = b.add(make_node(std::move(node), name, {x.node}), x.map);
  y.view = x.view;
  return y;
}

std::optional<ConstantFunction> per_channel(Builder& b, const Value& x, const FloatTensor& constant) {
  const auto channels = static_cast<std::size_t>(b.shape(x).c);
  const std::size_t rank = x.map.rank();
  if (constant.dims.size() > rank || constant.values.empty()) return std::nullopt;
  const auto real = [](float value) { return static_cast<double>(value); };
  if (constant.values.size() == 1) return ConstantFunction{F::constant(real(constant.values[0])), {}};
  std::vector<std::int64_t> dims(rank - constant.dims.size(), 1);
  dims.insert(dims.end(), constant.dims.begin(), constant.dims.end());
  const auto axis = b.channel_axis(x);
  if (!axis || dims[*axis] != b.shape(x).c || constant.values.size() != channels) return std::nullopt;
  std::vector<double> values;
  for (const float value : constant.values) values.push_back(real(value));
  return ConstantFunction{F::parameter(0), {std::move(values)}};
}

Value apply_function(Builder& b, const std::string& name, const Value& input, const F& f,
                     const ChannelValues& parameters) {
  Value x = input;
  if (x.pending) {
    // Bounds and lines right behind a layer become part of it; anything else joins.
    const bool keeps = f.bounds() ? !(x.sole && b.joins_layer(x)) : !x.pending->function.bounds();
    if (!keeps && !(f.bounds() && x.pending->function.bounds())) x = b.computed(x);
  }
  Pending next{f, parameters, name};
  if (x.pending) {
    next.parameters = x.pending->parameters;
    next.parameters.insert(next.parameters.end(), parameters.begin(), parameters.end());
    next.function = f.renumbered(x.pending->parameters.size()).after(x.pending->function);
  }
  x.pending = std::make_shared<Pending>(std::move(next));
  return x;
}

Value import_combine(Builder& b, NodeView& view) {
  const Row& row = *std::ranges::find(kRows, view.proto.op_type(), &Row::type);
  for (std::size_t i = 0; i < view.inputs.size(); ++i) check(view.has(i), "input {} is left out", i);
  // A constant among the first two may stand before the activation.
  Value at = view.inputs[0];
  const std::size_t count = view.inputs.size();
  for (std::size_t i = 1; i < count; ++i) {
    const std::string name = i + 1 == count && row.type != "Mean" ? view.name : b.unique_name(view.name + "_part");
    const Value& next = view.inputs[i];
    check_supported(at.activation() || next.activation(), "its first two inputs are constants, but not all");
    if (at.constant()) {
      at = combine_with_constant(b, view, name, row, next, i - 1);
    } else if (next.constant()) {
      at = combine_with_constant(b, view, name, row, at, i);
    } else {
      at = combine(b, name, row, std::move(at), next);
    }
  }
  if (row.type != "Mean" || count == 1) return at;
  return apply_function(b, view.name, at, F::of(F::Op::divide, F(), F::constant(static_cast<double>(count))));
}

/// A power with a constant on either side; small whole ones are products.
Value import_pow(Builder& b, NodeView& view) {
  check(view.has(0) && view.has(1), "an input is left out");
  const bool first = view.inputs[0].constant();
  check_supported(first || view.inputs[1].constant(), "both the base and the exponent are activations");
  const Value& x = view.activation(first ? 1 : 0);
  const FloatTensor tensor = view.floats(first ? 0 : 1, "constant");
  const auto constant = per_channel(b, x, tensor);
  check_supported(constant.has_value(), "its constant of shape {} meets {}; one value or one per channel is supported",
                  format_dims(tensor.dims), b.describe(x));
  F f = first ? F::of(F::Op::power, constant->function, F()) : F::of(F::Op::power, F(), constant->function);
  if (!first && constant->parameters.empty() && tensor.values[0] == 2.0f) f = F::of(F::Op::multiply, F(), F());
  if (!first && constant->parameters.empty() && tensor.values[0] == 3.0f) {
    f = F::of(F::Op::multiply, F::of(F::Op::multiply, F(), F()), F());
  }
  return apply_function(b, view.name, x, f, constant->parameters);
}

/// Pending functions become nodes: lines right behind weights or per channel a BatchNorm, all else a table.
bool Builder::joins_layer(const Value& value) {
  const auto& what = node(value).what;
  const bool weights = std::holds_alternative<FloatLayer>(what) || std::holds_alternative<FloatBatchNorm>(what);
  return value.pending && weights && lines(value).has_value();
}

std::optional<std::vector<F::Affine>> Builder::lines(const Value& value) {
  std::vector<F::Affine> all;
  const Pending& pending = *value.pending;
  for (std::size_t c = 0; c < static_cast<std::size_t>(shape(value).c); ++c) {
    if (!pending.parameters.empty() || c == 0) {
      const auto line = pending.function.of_channel(pending.parameters, c).affine();
      if (!line) return std::nullopt;
      all.push_back(*line);
    } else {
      all.push_back(all[0]);
    }
  }
  return all;
}

Value Builder::computed(const Value& value) {
  if (!value.pending) return value;
  const auto known_already = std::ranges::find_if(
      computed_, [&](const Computed& other) { return other.from == value.node && *other.what == *value.pending; });
  Value y = value;
  y.pending = nullptr;
  if (known_already != computed_.end()) {
    y.node = known_already->node;
    return y;
  }
  const Pending& pending = *value.pending;
  const auto straight = lines(value);
  const bool constant = straight && std::ranges::all_of(*straight, [](const auto& line) { return line.scale == 0; });
  if (straight && absorb_affine(*this, value, *straight)) return y;
  const bool layer = (value.sole && joins_layer(value)) || value.node == 0 || !pending.parameters.empty();
  FloatPrimitive what = FloatTable{pending.function, pending.parameters};
  if (straight && layer && !constant) {
    FloatBatchNorm norm;
    for (const auto& [scale, shift] : *straight) {
      norm.scale.push_back(static_cast<float>(scale));
      norm.shift.push_back(static_cast<float>(shift));
      check(std::isfinite(norm.scale.back()) && std::isfinite(norm.shift.back()), "its constant overflows float32");
    }
    what = std::move(norm);
  }
  y = add(make_node(std::move(what), pending.name, {value.node}), value.map);
  y.view = value.view;
  y.sole = value.sole;
  computed_.push_back({value.node, value.pending, y.node});
  return y;
}

}  // namespace qnudge
