// SPDX-License-Identifier: MIT
// Means, maxima and sums over axes.
#include <algorithm>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

WindowKind kind_of_reduction(const std::string& type) {
  return type == "ReduceMax" ? WindowKind::max : type == "ReduceSum" ? WindowKind::sum : WindowKind::average;
}

/// Over all pixels of an image, which stands.
Value reduce_pixels(Builder& b, const NodeView& view, const Value& x, WindowKind kind) {
  const Shape& in = b.shape(x);
  FloatWindow window{.kind = kind, .window = {.r = in.h, .s = in.w}};
  return b.add_spatial(make_node(window, view.name, {x.node}), x.map.rank() - 2);
}

/// Over any axes: they become the height of a tensor without width, all others its channels.
Value reduce_axes(Builder& b, const NodeView& view, const Value& x, const std::vector<std::size_t>& axes,
                  WindowKind kind) {
  const Extents dims = x.map.dims();
  std::vector<std::size_t> order;
  Extents matrix{{1, false}, {1, false}};
  const auto reduced = [&](std::size_t i) { return std::ranges::find(axes, i) != axes.end(); };
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (!reduced(i) && dims[i].batch) order.push_back(i);
  }
  check_supported(order.size() == 1, "it reduces the samples of {}", b.describe(x));
  for (const std::size_t i : axes) {
    order.push_back(i);
    matrix[0].count *= dims[i].count;
  }
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (reduced(i) || dims[i].batch) continue;
    order.push_back(i);
    matrix[1].count *= dims[i].count;
  }
  Extents merged{dims[order[0]], matrix[0], matrix[1]};
  check_supported(merged[0].count == 1, "its samples stand together with another axis of {}", b.describe(x));
  Value turned = x;
  turned.map = x.map.transpose(order);
  turned = b.row_major(b.edited(turned, [&](const IndexMap& map) { return map.reshape(merged); }));
  return b.add(make_node(FloatWindow{.kind = kind, .window = {.r = matrix[0].count}}, view.name, {turned.node}),
               features(matrix[1].count));
}

}  // namespace

Value import_global_max_pool(Builder& b, NodeView& view) {
  return reduce_pixels(b, view, b.spatial(view.activation(0)), WindowKind::max);
}

Value import_reduce(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const std::string& type = view.proto.op_type();
  const bool keep = view.attributes.integer("keepdims", 1) != 0;
  const bool nothing = view.attributes.integer("noop_with_empty_axes", 0) != 0;
  const auto stated = read_fixed_argument(b, view, "axes", 1, type == "ReduceSum" ? 13 : 18);
  std::vector<std::size_t> axes = normal_axes(stated.value_or(std::vector<std::int64_t>{}), x.map.rank());
  if (axes.empty()) {
    if (nothing) return x;
    for (std::size_t i = 0; i < x.map.rank(); ++i) axes.push_back(i);
  }
  const Extents dims = x.map.dims();
  const bool image = dims.size() >= 3 && dims.size() <= 4 && dims[0] == Extent{1, true};
  Value y;
  if (image && axes == (dims.size() == 3 ? std::vector<std::size_t>{2} : std::vector<std::size_t>{2, 3})) {
    y = reduce_pixels(b, view, b.spatial(x), kind_of_reduction(type));
    if (keep) return y;
    y.map = features(b.shape(y).c);
    y.view = b.unique_name(view.name + "_flatten");
    return y;
  }
  y = reduce_axes(b, view, x, axes, kind_of_reduction(type));
  Extents left;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    const bool reduced = std::ranges::find(axes, i) != axes.end();
    if (!reduced) left.push_back(dims[i]);
    if (reduced && keep) left.push_back({1});
  }
  y.map = IndexMap::row_major(left);
  return y;
}

}  // namespace qnudge
