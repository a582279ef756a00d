// SPDX-License-Identifier: MIT
// Normalisations: Softmax, LayerNormalization, RMSNormalization, LpNormalization, InstanceNormalization,
// GroupNormalization.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

bool is_whole(Builder& b, const Value& x) {
  return x.map.offset() == 0 && x.map.size() == b.shape(x).size();
}

std::vector<std::size_t> inverse(const std::vector<std::size_t>& order) {
  std::vector<std::size_t> back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
  return back;
}

/// The value as a node whose channels are that axis and whose pixels are all others; elements are moved only where they
/// lie otherwise.
Value with_channels(Builder& b, const Value& x, std::size_t axis) {
  if (is_whole(b, x) && b.channel_axis(x) == axis) return x;
  std::vector<std::size_t> order(x.map.rank());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::rotate(order.begin() + static_cast<std::ptrdiff_t>(axis), order.begin() + static_cast<std::ptrdiff_t>(axis) + 1,
              order.end());
  Value turned = x;
  turned.map = x.map.transpose(order);
  turned = b.row_major(turned);
  turned.map = turned.map.transpose(inverse(order));
  return turned;
}

/// The axes `axes`, none of them the samples', behind all others and as one.
Value with_last_axes(Builder& b, const Value& x, const std::vector<std::size_t>& axes, std::vector<std::size_t>& order,
                     Extents& turned_dims) {
  const Extents dims = x.map.dims();
  order.clear();
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (std::ranges::find(axes, i) == axes.end()) order.push_back(i);
  }
  order.insert(order.end(), axes.begin(), axes.end());
  Value turned = x;
  turned.map = x.map.transpose(order);
  turned_dims = turned.map.dims();
  if (axes.size() == 1) return turned;
  Extents merged(turned_dims.begin(), turned_dims.end() - static_cast<std::ptrdiff_t>(axes.size()));
  std::int64_t count = 1;
  for (const std::size_t axis : axes) count *= dims[axis].count;
  merged.push_back({count});
  return b.edited(turned, [&](const IndexMap& map) { return map.reshape(merged); });
}

Value add_normalise(Builder& b, const NodeView& view, const Value& x, FloatNormalise what) {
  return b.add(make_node(std::move(what), view.name, {x.node}), x.map);
}

/// Moments over the axes; `gain` and `shift` have one value per element of a group.
Value add_moments(Builder& b, const NodeView& view, const Value& x, const std::vector<std::size_t>& axes,
                  FloatNormalise what, std::vector<float> gain, std::vector<float> shift) {
  for (const std::size_t axis : axes) {
    check_supported(!x.map.dims()[axis].batch, "it normalises over the samples of {}", b.describe(x));
  }
  std::vector<std::size_t> order;
  Extents turned_dims;
  Value turned = with_last_axes(b, x, axes, order, turned_dims);
  turned = with_channels(b, turned, turned.map.rank() - 1);
  what.channels = b.shape(turned).c;
  const auto count = static_cast<std::size_t>(what.channels);
  what.gain = gain.empty() ? std::vector<float>(count, 1.0f) : std::move(gain);
  what.shift = shift.empty() ? std::vector<float>(count, 0.0f) : std::move(shift);
  check(what.gain.size() == count && what.shift.size() == count, "its {} scales and {} biases do not fit {}",
        what.gain.size(), what.shift.size(), b.describe(x));
  Value y = add_normalise(b, view, turned, std::move(what));
  if (axes.size() > 1) {
    const auto apart = y.map.reshape(turned_dims);
    check_supported(apart.has_value(), "its axes cannot be told apart in {}", b.describe(x));
    y.map = *apart;
  }
  y.map = y.map.transpose(inverse(order));
  return y;
}

/// `axes`, or all from `axis` on.
std::vector<std::size_t> read_axes(NodeView& view, std::size_t rank) {
  std::vector<std::size_t> axes;
  if (const auto stated = view.attributes.integers("axes")) {
    if (!stated->empty()) return normal_axes(*stated, rank);
    for (std::size_t i = 2; i < rank; ++i) axes.push_back(i);  // see fuse_patterns
    check(!axes.empty(), "it has no axes behind the channels");
    return axes;
  }
  const std::size_t axis = normal_axis(view.attributes.integer("axis", -1), rank);
  if (view.proto.op_type() == "LpNormalization") return {axis};
  for (std::size_t i = axis; i < rank; ++i) axes.push_back(i);
  return axes;
}

float read_epsilon(NodeView& view) {
  const float epsilon = view.attributes.real("epsilon", 1e-5f);
  check(std::isfinite(epsilon) && epsilon >= 0, "its epsilon is {}; 0 or more is needed", epsilon);
  return epsilon;
}

std::vector<float> optional_floats(const NodeView& view, std::size_t i, std::string_view role) {
  return view.has(i) ? std::move(view.floats(i, role).values) : std::vector<float>{};
}

/// Group by group over all pixels of an image: x is the image, of C channels.
Value add_groups(Builder& b, const NodeView& view, const Value& x, std::int64_t groups, FloatNormalise what,
                 const std::vector<float>& gain, const std::vector<float>& shift) {
  const std::int64_t channels = b.shape(x).c;
  what.area = true;
  what.channels = channels / groups;
  const auto spread = [&](const std::vector<float>& values) {
    std::vector<float> all;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto per = channels / static_cast<std::int64_t>(values.size());
      all.push_back(values[static_cast<std::size_t>(c / per)]);
    }
    return all;
  };
  what.gain = spread(gain);
  what.shift = spread(shift);
  return add_normalise(b, view, x, std::move(what));
}

/// Whether x, [N, G, M], is an image of C channels in G groups one after another.
bool is_grouped_image(Builder& b, const Value& x) {
  const Shape& s = b.shape(x);
  const Extents dims = x.map.dims();
  if (!is_whole(b, x) || dims.size() != 3 || !(dims[0] == Extent{1, true}) || s.c % dims[1].count != 0 ||
      s.h * s.w == 1) {
    return false;
  }
  const std::int64_t pixels = s.h * s.w, group = s.c / dims[1].count;
  IndexMap::Axis inside;
  if (group > 1) inside.push_back({group, 1});
  inside.push_back({pixels, s.c});
  const IndexMap::Axis across{{dims[1].count, group}};
  return x.map.axes()[2] == inside && (dims[1].count == 1 || x.map.axes()[1] == across);
}

}  // namespace

Value import_softmax(Builder& b, NodeView& view) {
  if (view.last) return import_head(b, view);
  const Value& x = view.activation(0);
  const std::size_t rank = x.map.rank();
  const std::size_t axis = normal_axis(view.attributes.integer("axis", b.opset < 13 ? 1 : -1), rank);
  check_supported(b.opset >= 13 || axis + 1 == rank, "before opset 13 it normalises over all axes from {} on", axis);
  check_supported(!x.map.dims()[axis].batch, "it normalises over the samples of {}", b.describe(x));
  const Value turned = with_channels(b, x, axis);
  return add_normalise(b, view, turned, {.kind = NormaliseKind::softmax, .channels = b.shape(turned).c});
}

Value import_layer_norm(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  view.attributes.integer("stash_type", 1);
  const bool rms = view.proto.op_type() == "RMSNormalization";
  const auto kind = rms ? NormaliseKind::root_mean_square : NormaliseKind::standard;
  const float epsilon = read_epsilon(view);
  const std::vector<std::size_t> axes = read_axes(view, x.map.rank());
  if (axes == std::vector<std::size_t>{2} && !view.has(1) && !view.has(2) && is_grouped_image(b, x)) {
    return add_groups(b, view, x, x.map.dims()[1].count, {.kind = kind, .epsilon = epsilon}, {1}, {0});
  }
  return add_moments(b, view, x, axes, {.kind = kind, .epsilon = epsilon}, optional_floats(view, 1, "scales"),
                     optional_floats(view, 2, "biases"));
}

/// A vector divided by its length: the root mean square is that by the root of the count.
Value import_lp_norm(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const std::int64_t p = view.attributes.integer("p", 2);
  check_supported(p == 2, "its p is {}; 2 is supported", p);
  const float epsilon = view.attributes.real("epsilon", 1e-12f);
  const std::vector<std::size_t> axes = read_axes(view, x.map.rank());
  check(axes.size() == 1, "it has {} axes; 1 is needed", axes.size());
  const std::int64_t count = x.map.dims()[axes[0]].count;
  std::vector<float> gain(static_cast<std::size_t>(count), 1 / std::sqrt(static_cast<float>(count)));
  return add_moments(b, view, x, axes, {.kind = NormaliseKind::root_mean_square, .epsilon = epsilon}, std::move(gain),
                     {});
}

Value import_instance_norm(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const float epsilon = read_epsilon(view);
  const std::vector<float> gain = view.floats(1, "scales").values, shift = view.floats(2, "biases").values;
  check(x.map.rank() >= 3, "it reads {}; [N, C, ...] is needed", b.describe(x));
  const std::int64_t groups = x.map.dims()[1].count;
  check(static_cast<std::int64_t>(gain.size()) == groups && gain.size() == shift.size(),
        "its {} scales and {} biases do not fit {}", gain.size(), shift.size(), b.describe(x));
  const Value image = is_grouped_image(b, x) ? x : b.spatial(x);
  return add_groups(b, view, image, groups, {.kind = NormaliseKind::standard, .epsilon = epsilon}, gain, shift);
}

/// Scales of opset 18 are per group, of opset 21 per channel.
Value import_group_norm(Builder& b, NodeView& view) {
  const Value x = b.spatial(view.activation(0));
  const float epsilon = read_epsilon(view);
  view.attributes.integer("stash_type", 1);
  const std::vector<float> gain = view.floats(1, "scales").values, shift = view.floats(2, "biases").values;
  const std::int64_t groups = view.attributes.integer("num_groups", 0), channels = b.shape(x).c;
  check(groups >= 1 && channels % groups == 0, "num_groups is {}, which does not divide the {} channels", groups,
        channels);
  const auto fits = static_cast<std::size_t>(b.opset < 21 ? groups : channels);
  check(gain.size() == fits && shift.size() == fits, "its {} scales and {} biases do not fit {}", gain.size(),
        shift.size(), b.describe(x));
  return add_groups(b, view, x, groups, {.kind = NormaliseKind::standard, .epsilon = epsilon}, gain, shift);
}

bool absorb_affine(Builder& b, const Value& x, const std::vector<ScalarFunction::Affine>& lines) {
  if (!x.sole) return false;
  if (auto* const normalise = std::get_if<FloatNormalise>(&b.node(x).what)) {
    if (normalise->kind == NormaliseKind::softmax) return false;
    for (std::size_t c = 0; c < lines.size(); ++c) {
      const auto& [scale, shift] = lines[c];
      normalise->gain[c] = static_cast<float>(static_cast<double>(normalise->gain[c]) * scale);
      normalise->shift[c] = static_cast<float>(static_cast<double>(normalise->shift[c]) * scale + shift);
      check(std::isfinite(normalise->gain[c]) && std::isfinite(normalise->shift[c]), "its constant overflows float32");
    }
    return true;
  }
  auto* const product = std::get_if<FloatProduct>(&b.node(x).what);
  const auto scale = uniform_scale(lines);
  if (product == nullptr || !scale || !std::isfinite(product->scale * *scale)) return false;
  product->scale *= *scale;
  return true;
}

std::optional<float> uniform_scale(const std::vector<ScalarFunction::Affine>& lines) {
  const bool uniform =
      std::ranges::all_of(lines, [&](const auto& line) { return line.scale == lines[0].scale && line.shift == 0; });
  return uniform ? std::optional(static_cast<float>(lines[0].scale)) : std::nullopt;
}

}  // namespace qnudge
