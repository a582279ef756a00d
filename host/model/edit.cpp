// SPDX-License-Identifier: MIT
#include "edit.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "fold.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using Map = std::optional<IndexMap>;

constexpr std::int64_t kMaxCount = std::int64_t{1} << 40;  ///< of an axis or a tensor

std::string describe(const Builder& b, const IndexMap& map) {
  return format_extents(map.dims(), b.batch);
}

Map edit_transpose(Builder&, NodeView& view, const IndexMap& map) {
  std::vector<std::size_t> order(map.rank());
  std::iota(order.rbegin(), order.rend(), std::size_t{0});
  if (const auto stated = view.attributes.integers("perm")) {
    check(stated->size() == map.rank() && normal_axes(*stated, map.rank()).size() == map.rank(),
          "perm is {}, which is no order of {} axes", format_dims(*stated), map.rank());
    std::ranges::transform(*stated, order.begin(), [&](std::int64_t axis) { return normal_axis(axis, map.rank()); });
  }
  return map.transpose(order);
}

Map edit_unsqueeze(Builder& b, NodeView& view, const IndexMap& map) {
  const auto axes = read_fixed_argument(b, view, "axes", 1, 13);
  check(axes.has_value(), "its axes are missing");
  IndexMap wider = map;
  for (const std::size_t axis : normal_axes(*axes, map.rank() + axes->size())) wider = wider.insert_axis(axis);
  return wider;
}

Map edit_squeeze(Builder& b, NodeView& view, const IndexMap& map) {
  const auto stated = read_fixed_argument(b, view, "axes", 1, 13);
  const Extents dims = map.dims();
  std::vector<std::size_t> axes;
  if (stated) {
    axes = normal_axes(*stated, map.rank());
  } else {
    for (std::size_t i = 0; i < dims.size(); ++i) {
      if (b.number(dims[i]) == Affine{1}) axes.push_back(i);
    }
  }
  IndexMap narrower = map;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    check_supported(b.number(dims[*axis]) == Affine{1}, "it removes axis {} of {}, whose extent is not 1", *axis,
                    describe(b, map));
    narrower = narrower.remove_axis(*axis);
  }
  return narrower;
}

Map edit_flatten(Builder& b, NodeView& view, const IndexMap& map) {
  const std::int64_t stated = view.attributes.integer("axis", 1);
  const auto rank = static_cast<std::int64_t>(map.rank());
  check(stated >= -rank && stated <= rank, "axis is {}, but the rank is {}", stated, rank);
  const auto axis = stated < 0 ? stated + rank : stated;
  Affine before{1}, behind{1};
  const Extents dims = map.dims();
  for (std::int64_t i = 0; i < rank; ++i) {
    Affine& part = i < axis ? before : behind;
    part = part * b.number(dims[static_cast<std::size_t>(i)]);
  }
  return map.reshape(resolve_reshape(b, dims, {before, behind}, false), b.batch);
}

Map edit_reshape(Builder& b, NodeView& view, const IndexMap& map) {
  const bool allow_zero = view.attributes.integer("allowzero", 0) != 0;
  return map.reshape(resolve_reshape(b, map.dims(), view.affine(1, "target extents"), allow_zero), b.batch);
}

Map edit_expand(Builder& b, NodeView& view, const IndexMap& map) {
  Extents target;
  for (const Affine& extent : view.affine(1, "target extents")) {
    check(sign_of(extent) >= 0 && (extent.fixed() || extent.base == 0), "its target extents are out of range");
    target.push_back(extent.fixed() ? Extent{extent.base} : Extent{extent.slope, true});
  }
  Extents dims = map.dims();
  if (b.batch > 0) {  // the axis with the samples stays what it is where its extent is stated
    for (std::size_t i = 1; i <= std::min(dims.size(), target.size()); ++i) {
      const Extent& own = dims[dims.size() - i];
      Extent& wanted = target[target.size() - i];
      if (own.batch && (Affine{wanted.count} == b.number(own) || wanted.count == 1)) wanted = own;
    }
  }
  const Extents all = broadcast(dims, target);
  return broadcast_map(map, all);
}

/// A bound of a Slice, clamped to [low, high].
std::int64_t clamp_bound(const Affine& bound, std::int64_t extent, std::int64_t low, std::int64_t high) {
  check_supported(bound.fixed(), "a bound of it depends on the number of samples");
  const std::int64_t from_start = bound.base < 0 ? std::max(bound.base, -extent - 1) + extent : bound.base;
  return std::clamp(from_start, low, high);
}

Map edit_slice(Builder& b, NodeView& view, const IndexMap& map) {
  const auto starts = read_argument(b, view, "starts", 1, 10), ends = read_argument(b, view, "ends", 2, 10);
  check(starts && ends && starts->size() == ends->size(), "its starts and ends are missing or differ in number");
  std::vector<std::int64_t> axes(starts->size()), steps(starts->size(), 1);
  std::iota(axes.begin(), axes.end(), std::int64_t{0});
  if (const auto stated = read_fixed_argument(b, view, "axes", 3, 10)) axes = *stated;
  if (b.opset >= 10 && view.has(4)) steps = view.integers(4, "steps").values;
  check(axes.size() == starts->size() && steps.size() == starts->size(), "its axes or steps differ in number");
  normal_axes(axes, map.rank());  // none may stand twice
  Map sliced = map;
  for (std::size_t i = 0; i < axes.size() && sliced; ++i) {
    const std::size_t axis = normal_axis(axes[i], map.rank());
    const Extent extent = map.dims()[axis];
    const std::int64_t step = steps[i];
    check(step != 0, "a step is 0");
    if (extent.batch) {
      const Affine whole = b.number(extent);
      const Affine& end = (*ends)[i];
      const bool to_end =
          end == whole || (end.fixed() && end.base >= (whole.fixed() ? whole.base : std::int64_t{kMaxCount}));
      check_supported((*starts)[i] == Affine{0} && step == 1 && to_end, "it takes some of the samples from {}",
                      describe(b, map));
      continue;
    }
    const std::int64_t n = extent.count;
    const std::int64_t start = step > 0 ? clamp_bound((*starts)[i], n, 0, n) : clamp_bound((*starts)[i], n, 0, n - 1);
    const std::int64_t end = step > 0 ? clamp_bound((*ends)[i], n, 0, n) : clamp_bound((*ends)[i], n, -1, n - 1);
    const std::int64_t room = step > 0 ? end - start : start - end;
    const auto stride =
        step > 0 ? static_cast<std::uint64_t>(step) : std::uint64_t{0} - static_cast<std::uint64_t>(step);
    const std::int64_t count =
        room <= 0 ? 0 : static_cast<std::int64_t>((static_cast<std::uint64_t>(room) - 1) / stride) + 1;
    sliced = sliced->slice(axis, start, count <= 1 ? 1 : step, count);
  }
  return sliced;
}

Map edit_identity(Builder&, NodeView&, const IndexMap& map) {
  return map;
}

/// [N, C, H, W] cut by `block` into six axes, transposed and joined again.
Map blocks(Builder& b, NodeView& view, const IndexMap& map, bool to_depth) {
  const Extents d = map.dims();
  const std::int64_t k = view.attributes.integer("blocksize", 0);
  check(d.size() == 4 && d[0] == (Extent{1, true}), "it reads {}; [N, C, H, W] is needed", describe(b, map));
  check(k >= 1 && k <= 1 << 12, "blocksize is {}; 1 to 4096 is needed", k);
  const std::int64_t c = d[1].count, h = d[2].count, w = d[3].count;
  if (to_depth) {
    check(h % k == 0 && w % k == 0, "blocksize {} does not divide {}", k, describe(b, map));
    auto cut = map.reshape({{1, true}, {c}, {h / k}, {k}, {w / k}, {k}});
    if (!cut) return cut;
    return cut->transpose({0, 3, 5, 1, 2, 4}).reshape({{1, true}, {k * k * c}, {h / k}, {w / k}});
  }
  check(c % (k * k) == 0, "blocksize {} squared does not divide the {} channels", k, c);
  const std::string mode = view.attributes.text("mode", "DCR");
  check(mode == "DCR" || mode == "CRD", "mode is '{}'; DCR or CRD is needed", printable(mode));
  const bool depth_first = mode == "DCR";
  const Extents target = depth_first ? Extents{{1, true}, {k}, {k}, {c / (k * k)}, {h}, {w}}
                                     : Extents{{1, true}, {c / (k * k)}, {k}, {k}, {h}, {w}};
  auto cut = map.reshape(target);
  if (!cut) return cut;
  const std::vector<std::size_t> order =
      depth_first ? std::vector<std::size_t>{0, 3, 4, 1, 5, 2} : std::vector<std::size_t>{0, 1, 4, 2, 5, 3};
  return cut->transpose(order).reshape({{1, true}, {c / (k * k)}, {h * k}, {w * k}});
}

Map edit_depth_to_space(Builder& b, NodeView& view, const IndexMap& map) {
  return blocks(b, view, map, false);
}

Map edit_space_to_depth(Builder& b, NodeView& view, const IndexMap& map) {
  return blocks(b, view, map, true);
}

constexpr std::array<std::pair<std::string_view, Edit>, 10> kEdits = {{
    {"DepthToSpace", edit_depth_to_space},
    {"Expand", edit_expand},
    {"Flatten", edit_flatten},
    {"Identity", edit_identity},
    {"Reshape", edit_reshape},
    {"Slice", edit_slice},
    {"SpaceToDepth", edit_space_to_depth},
    {"Squeeze", edit_squeeze},
    {"Transpose", edit_transpose},
    {"Unsqueeze", edit_unsqueeze},
}};

}  // namespace

Edit find_edit(std::string_view type) {
  const auto it = std::ranges::find(kEdits, type, &std::pair<std::string_view, Edit>::first);
  return it == kEdits.end() ? nullptr : it->second;
}

Extents resolve_reshape(const Builder& builder, const Extents& dims, const std::vector<Affine>& target,
                        bool allow_zero) {
  Affine total{1};
  for (const Extent& extent : dims) total = total * builder.number(extent);
  Affine product{1};
  std::optional<std::size_t> inferred;
  std::vector<Affine> resolved = target;
  for (std::size_t i = 0; i < target.size(); ++i) {
    if (target[i] == Affine{-1}) {
      check(!inferred, "two of its target extents are -1");
      inferred = i;
      continue;
    }
    if (target[i] == Affine{0} && !allow_zero) {
      check(i < dims.size(), "its target extent {} is 0, but the input has {} axes", i, dims.size());
      resolved[i] = builder.number(dims[i]);
    }
    const Affine& extent = resolved[i];
    check(extent.base >= 0 && extent.base <= kMaxCount && extent.slope >= 0 && extent.slope <= kMaxCount,
          "its target extent {} is out of range", i);
    product = product * extent;
  }
  if (inferred) {
    if (product == Affine{0}) {
      check(total == Affine{0}, "a target extent is -1 beside one of 0");
      resolved[*inferred] = {0};
    } else {
      resolved[*inferred] = total / product;
      product = product * resolved[*inferred];
    }
  }
  Extents extents;
  for (const Affine& extent : resolved) {
    check_supported(extent.fixed() || extent.base == 0, "a target extent depends on the number of samples in part");
    extents.push_back(extent.fixed() ? Extent{extent.base} : Extent{extent.slope, true});
  }
  check_supported(product == total, "it reshapes {} to {}, which differ in their number of elements",
                  format_extents(dims, builder.batch), format_extents(extents, builder.batch));
  return extents;
}

std::vector<std::int64_t> split_sizes(const Builder& builder, NodeView& view, std::int64_t extent,
                                      std::size_t outputs) {
  if (auto stated = read_fixed_argument(builder, view, "split", 1, 13)) {
    std::int64_t sum = 0;
    for (const std::int64_t size : *stated) {
      check(size >= 0 && size <= extent - sum, "its parts do not add up to the extent {}", extent);
      sum += size;
    }
    check(sum == extent && stated->size() == outputs, "its parts do not add up to the extent {}", extent);
    return *std::move(stated);
  }
  const auto parts = static_cast<std::int64_t>(outputs);
  check(view.attributes.integer("num_outputs", parts) == parts, "num_outputs differs from its {} outputs", parts);
  const std::int64_t size = (extent + parts - 1) / parts;
  std::vector<std::int64_t> sizes(outputs, size);
  sizes.back() = extent - size * (parts - 1);
  check(sizes.back() >= 0 && (builder.opset >= 18 || sizes.back() == size), "{} does not split into {} equal parts",
        extent, parts);
  return sizes;
}

}  // namespace qnudge
