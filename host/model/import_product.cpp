// SPDX-License-Identifier: MIT
// Matrix products of two activations.
#include <algorithm>
#include <cmath>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

/// The value as a node that holds its elements in ONNX's order, the last axis as channels.
Value as_rows(Builder& b, const Value& x) {
  const bool lies =
      x.map == x.map.dense() && x.map.size() == b.shape(x).size() && b.shape(x).c == x.map.dims().back().count;
  return lies ? x : b.row_major(x);
}

/// The axes before the matrices.
IndexMap leading(const IndexMap& map) {
  return IndexMap({map.axes().begin(), map.axes().end() - 2}).dense();
}

/// Stride of the innermost factor of an axis.
std::int64_t step_of(const IndexMap::Axis& axis) {
  std::int64_t step = 0;
  for (const IndexMap::Factor& factor : axis) step = factor.batch ? step : factor.stride;
  return step;
}

/// The value as a node, but for a pending multiplication by one constant, which goes into `scale`.
Value unscaled(Builder& b, Value x, float& scale) {
  const auto lines = x.pending ? b.lines(x) : std::nullopt;
  const auto factor = lines && !b.joins_layer(x) ? uniform_scale(*lines) : std::nullopt;
  if (!factor || !std::isfinite(scale * *factor)) return b.computed(x);
  scale *= *factor;
  x.pending = nullptr;
  return x;
}

}  // namespace

Value import_product(Builder& b, NodeView& view) {
  FloatProduct what;
  Value x = unscaled(b, view.activation(0), what.scale), y = unscaled(b, view.activation(1), what.scale);
  const Extents a = x.map.dims(), c = y.map.dims();
  const std::size_t rank = a.size();
  check_supported(rank >= 3 && c.size() == rank && std::equal(a.begin(), a.end() - 2, c.begin()),
                  "it multiplies {} and {}; equal axes before the matrices are supported", b.describe(x),
                  b.describe(y));
  check(a[rank - 1] == c[rank - 2], "it multiplies {} and {}, which do not fit", b.describe(x), b.describe(y));
  check_supported(!a[rank - 1].batch && !a[rank - 2].batch && !c[rank - 1].batch,
                  "it multiplies over the samples of {}", b.describe(x));
  for (std::size_t i = 0; i + 2 < rank; ++i) what.batch *= a[i].count;
  const auto& axes = y.map.axes();
  what.b_rows = step_of(axes[rank - 1]) != 1 && step_of(axes[rank - 2]) == 1;
  if (what.b_rows) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i + 2 < rank; ++i) order.push_back(i);
    order.insert(order.end(), {rank - 1, rank - 2});
    y.map = y.map.transpose(order);
  }
  x = as_rows(b, x);
  y = as_rows(b, y);
  check_supported(leading(x.map) == leading(y.map), "the samples stand elsewhere in {} and {}", b.describe(x),
                  b.describe(y));
  std::vector<IndexMap::Axis> result = x.map.axes();
  result.back() = {{c[rank - 1].count, 1}};
  return b.add(make_node(what, view.name, {x.node, y.node}), IndexMap(std::move(result)).dense());
}

}  // namespace qnudge
