// SPDX-License-Identifier: MIT
// Constants that are made, or moved about: reshapes and their like by the index maps that activations use as well.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "edit.hpp"
#include "fold.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using Type = Known::Type;

std::size_t axis_of(FoldView& f, std::size_t rank, std::int64_t fallback) {
  return normal_axis(f.node.attributes.integer("axis", fallback), rank);
}

/// Elements before and behind an axis.
std::pair<std::int64_t, std::int64_t> around(const Extents& dims, std::size_t axis) {
  const auto middle = dims.begin() + static_cast<std::ptrdiff_t>(axis);
  return {elements({dims.begin(), middle}), elements({middle + 1, dims.end()})};
}

void check_without_samples(const Extent& extent) {
  check_supported(!extent.batch, "it takes some of the samples");
}

/// Extents from the values of a tensor of shape arithmetic.
Extents to_extents(const Known& known) {
  check(!known.is_real(), "the extents are no integers");
  Extents dims;
  for (const Affine& value : known.integers) {
    check(sign_of(value) >= 0, "an extent is negative");
    check_supported(value.fixed() || value.base == 0, "an extent depends on the number of samples in part");
    dims.push_back(value.fixed() ? Extent{value.base} : Extent{value.slope, true});
  }
  return dims;
}

}  // namespace

std::vector<Known> fold_edit(FoldView& f) {
  const Known& from = f.in(0);
  const auto map = find_edit(f.node.proto.op_type())(f.builder, f.node, IndexMap::row_major(from.dims));
  check_supported(map.has_value(), "it moves the samples of {} in a way that cannot be known at import",
                  format_extents(from.dims));
  f.builder.count_folded(map->dims());
  return {gather(from, *map)};
}

std::vector<Known> fold_split(FoldView& f) {
  const Known& from = f.in(0);
  const std::size_t axis = axis_of(f, from.dims.size(), 0);
  check_without_samples(from.dims[axis]);
  f.builder.count_folded(from.dims);
  const auto outputs = static_cast<std::size_t>(f.node.proto.output_size());
  std::vector<Known> parts;
  std::int64_t start = 0;
  for (const std::int64_t size : split_sizes(f.builder, f.node, from.dims[axis].count, outputs)) {
    parts.push_back(gather(from, *IndexMap::row_major(from.dims).slice(axis, start, 1, size)));
    start += size;
  }
  return parts;
}

std::vector<Known> fold_concat(FoldView& f) {
  const std::size_t axis = axis_of(f, f.in(0).dims.size(), 0);
  Known result;
  result.type = f.in(0).type;
  result.dims = f.in(0).dims;
  result.dims[axis].count = 0;
  for (std::size_t i = 0; i < f.inputs.size(); ++i) {
    Extents dims = f.in(i).dims;
    check(dims.size() == result.dims.size() && f.in(i).is_real() == f.in(0).is_real(),
          "it joins tensors of different ranks or types");
    check_without_samples(dims[axis]);
    result.dims[axis].count += std::exchange(dims[axis].count, result.dims[axis].count);
    dims[axis] = result.dims[axis];
    check(dims == result.dims, "it joins {} and {}", format_extents(f.in(0).dims), format_extents(f.in(i).dims));
  }
  f.builder.count_folded(result.dims);
  for (std::int64_t outer = 0; outer < around(result.dims, axis).first; ++outer) {
    for (std::size_t i = 0; i < f.inputs.size(); ++i) {
      const Known& part = f.in(i);
      const auto run = part.dims[axis].count * around(part.dims, axis).second;
      const auto append = [&](const auto& from, auto& to) {
        to.insert(to.end(), from.begin() + outer * run, from.begin() + (outer + 1) * run);
      };
      part.is_real() ? append(part.reals, result.reals) : append(part.integers, result.integers);
    }
  }
  return {std::move(result)};
}

std::vector<Known> fold_gather(FoldView& f) {
  const Known& from = f.in(0);
  const std::size_t axis = axis_of(f, from.dims.size(), 0);
  check_without_samples(from.dims[axis]);
  const IntegerTensor indices = fixed_integers(f.in(1), "indices");
  Extents dims(from.dims.begin(), from.dims.begin() + static_cast<std::ptrdiff_t>(axis));
  for (const std::int64_t extent : indices.dims) dims.push_back({extent});
  dims.insert(dims.end(), from.dims.begin() + static_cast<std::ptrdiff_t>(axis) + 1, from.dims.end());
  f.builder.count_folded(dims);
  const auto [outer, inner] = around(from.dims, axis);
  const std::int64_t extent = from.dims[axis].count;
  std::vector<std::int64_t> places;
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : indices.values) {
      check(index >= -extent && index < extent, "an index is {}, but the extent is {}", index, extent);
      for (std::int64_t i = 0; i < inner; ++i) {
        places.push_back((o * extent + (index < 0 ? index + extent : index)) * inner + i);
      }
    }
  }
  return {gather(from, places, std::move(dims))};
}

std::vector<Known> fold_tile(FoldView& f) {
  const Known& from = f.in(0);
  const Known& repeats = f.in(1);
  check(!repeats.is_real() && repeats.integers.size() == from.dims.size(), "its repeats do not fit the rank");
  Extents target, inserted;
  IndexMap map = IndexMap::row_major(from.dims);
  for (std::size_t i = 0; i < from.dims.size(); ++i) {  // [a, b] becomes [1, a, 1, b], is repeated, and joined again
    const Affine whole = f.builder.number(from.dims[i]) * repeats.integers[i];
    check(sign_of(whole) >= 0, "it repeats an axis a negative number of times");
    check_supported(whole.fixed() || whole.base == 0, "an extent depends on the number of samples in part");
    target.push_back(whole.fixed() ? Extent{whole.base} : Extent{whole.slope, true});
  }
  f.builder.count_folded(target);
  for (std::size_t i = 0; i < from.dims.size(); ++i) {
    const Affine& times = repeats.integers[i];
    map = map.insert_axis(2 * i).repeat(2 * i, times.fixed() ? Extent{times.base} : Extent{times.slope, true});
  }
  Known result = gather(from, map);
  result.dims = std::move(target);
  return {std::move(result)};
}

std::vector<Known> fold_pad(FoldView& f) {
  const Known& from = f.in(0);
  check_supported(f.node.attributes.text("mode", "constant") == "constant", "it pads a constant by its own values");
  const auto pads = read_fixed_argument(f.builder, f.node, "pads", 1, 11);
  const std::size_t rank = from.dims.size();
  check(pads && pads->size() == 2 * rank, "its pads are missing or do not fit the rank");
  check_supported(!f.has(3), "it pads stated axes of a constant");
  Known fill;
  fill.type = from.type;
  if (fill.is_real()) {
    fill.reals = {f.has(2) ? only(fixed_floats(f.in(2), "fill values").values) : 0.0f};
  } else {
    fill.integers = {f.has(2) ? only(f.in(2).integers) : Affine{}};
  }
  Extents dims = from.dims;
  for (std::size_t i = 0; i < rank; ++i) {
    check_supported((*pads)[i] >= 0 && (*pads)[rank + i] >= 0, "it crops a constant by negative padding");
    check_supported(!dims[i].batch || (*pads)[i] + (*pads)[rank + i] == 0, "it pads the samples");
    check((*pads)[i] <= 1 << 20 && (*pads)[rank + i] <= 1 << 20, "its padding is beyond 2^20");
    dims[i].count += (*pads)[i] + (*pads)[rank + i];
  }
  f.builder.count_folded(dims);
  const auto places = IndexMap::row_major(dims);
  IndexMap inner = places;
  for (std::size_t i = 0; i < rank; ++i) inner = *inner.slice(i, (*pads)[i], 1, from.dims[i].count);
  Known result = gather(fill, std::vector<std::int64_t>(static_cast<std::size_t>(elements(dims)), 0), dims);
  const auto to = inner.places();
  for (std::size_t i = 0; i < to.size(); ++i) {
    const auto at = static_cast<std::size_t>(to[i]);
    from.is_real() ? static_cast<void>(result.reals[at] = from.reals[i])
                   : static_cast<void>(result.integers[at] = from.integers[i]);
  }
  return {std::move(result)};
}

/// ScatterND: slices of the first tensor replaced by those of the third, at the places that the second lists.
std::vector<Known> fold_scatter(FoldView& f) {
  Known result = f.in(0);
  const IntegerTensor indices = fixed_integers(f.in(1), "indices");
  const Known& updates = f.in(2);
  check_supported(f.node.attributes.text("reduction", "none") == "none",
                  "it combines values instead of replacing them");
  check(!indices.dims.empty() && updates.is_real() == result.is_real(), "its indices or updates have the wrong type");
  const std::int64_t depth = indices.dims.back();
  check(depth >= 1 && depth <= static_cast<std::int64_t>(result.dims.size()), "its indices have {} parts", depth);
  for (const Extent& extent : result.dims) check_without_samples(extent);
  const auto split = result.dims.begin() + static_cast<std::ptrdiff_t>(depth);
  const std::int64_t run = elements({split, result.dims.end()});
  const auto slices = static_cast<std::int64_t>(indices.values.size()) / depth;
  f.builder.count_folded(result.dims);
  f.builder.count_folded({{slices}, {run}});
  check(updates.size() == slices * run, "its updates have the shape {}", format_extents(updates.dims));
  for (std::int64_t s = 0; s < slices; ++s) {
    std::int64_t place = 0;
    for (std::int64_t d = 0; d < depth; ++d) {
      const std::int64_t extent = result.dims[static_cast<std::size_t>(d)].count;
      const std::int64_t index = indices.values[static_cast<std::size_t>(s * depth + d)];
      check(index >= -extent && index < extent, "an index is {}, but the extent is {}", index, extent);
      place = place * extent + (index < 0 ? index + extent : index);
    }
    const auto copy = [&](const auto& from, auto& to) {
      std::copy_n(from.begin() + s * run, run, to.begin() + place * run);
    };
    result.is_real() ? copy(updates.reals, result.reals) : copy(updates.integers, result.integers);
  }
  return {std::move(result)};
}

std::vector<Known> fold_range(FoldView& f) {
  if (f.in(0).is_real()) {
    const double start = only(fixed_floats(f.in(0), "starts").values);
    const double limit = only(fixed_floats(f.in(1), "limits").values);
    const double delta = only(fixed_floats(f.in(2), "steps").values);
    const double count = std::ceil((limit - start) / delta);
    check(delta != 0 && count < 0x1p40, "its steps do not reach its limit");
    Known result;
    result.dims = {{std::max<std::int64_t>(static_cast<std::int64_t>(count), 0)}};
    f.builder.count_folded(result.dims);
    for (std::int64_t i = 0; i < result.dims[0].count; ++i) {
      result.reals.push_back(static_cast<float>(start + static_cast<double>(i) * delta));
    }
    return {std::move(result)};
  }
  const Affine start = only(f.in(0).integers), delta = only(f.in(2).integers);
  const Affine length = only(f.in(1).integers) - start;
  check_supported(length.fixed() && delta.fixed() && start.fixed(), "its length depends on the number of samples");
  check(delta.base != 0 && delta.base != std::numeric_limits<std::int64_t>::min(), "its step is out of range");
  const bool empty = (length.base > 0) != (delta.base > 0) || length.base == 0;
  const std::int64_t rest = length.base % delta.base;
  const std::int64_t count = empty ? 0 : length.base / delta.base + (rest != 0 ? 1 : 0);
  f.builder.count_folded({{count}});
  std::vector<Affine> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back({start.base + i * delta.base});
  return {known_integers({count}, std::move(values))};
}

std::vector<Known> fold_constant_of_shape(FoldView& f) {
  Known one;
  one.reals = {0};
  if (const auto* value = f.node.attributes.find("value")) {
    check(value->type() == onnx::AttributeProto::TENSOR, "the attribute 'value' is no tensor");
    one = read_known({&value->t(), {}});
    check(one.size() == 1, "its value has {} elements", one.size());
  }
  Extents dims = to_extents(f.in(0));
  f.builder.count_folded(dims);
  const std::vector<std::int64_t> places(static_cast<std::size_t>(elements(dims)), 0);
  return {gather(one, places, std::move(dims))};
}

}  // namespace qnudge
