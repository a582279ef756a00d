// SPDX-License-Identifier: MIT
// Padding, and taking known elements.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "elementwise.hpp"
#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using Piece = Builder::Piece;

constexpr std::int64_t kMaxExtent = 1 << 20;
constexpr std::size_t kMostPieces = 256;  ///< of one axis

/// Pads before and behind every axis; axes that are not named have none.
Pads read_pads(const Builder& b, NodeView& view, std::size_t rank) {
  const auto stated = read_fixed_argument(b, view, "pads", 1, 11);
  check(stated.has_value(), "its pads are missing");
  std::vector<std::int64_t> axes(rank);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = static_cast<std::int64_t>(i);
  if (b.opset >= 18 && view.has(3)) axes = view.integers(3, "axes").values;
  check(stated->size() == 2 * axes.size() && normal_axes(axes, rank).size() == axes.size(),
        "it has {} pads for {} axes; two for each are needed", stated->size(), axes.size());
  Pads pads(rank);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto [before, behind] = std::pair{(*stated)[i], (*stated)[axes.size() + i]};
    check(std::abs(before) <= kMaxExtent && std::abs(behind) <= kMaxExtent, "its pads {} and {} are beyond 2^20",
          before, behind);
    pads[normal_axis(axes[i], rank)] = {before, behind};
  }
  return pads;
}

float read_fill(const Builder& b, NodeView& view) {
  if (b.opset < 11) return view.attributes.real("value", 0);
  if (!view.has(2)) return 0;
  const FloatTensor fill = view.floats(2, "fill value", NonFinite::allow);
  check(fill.values.size() == 1, "its fill has {} values; one is needed", fill.values.size());
  return fill.values[0];
}

/// Zeros, or the smallest number, around height and width wait for a window to take them.
Value pad_with_constant(Builder& b, NodeView& view, const Pads& pads) {
  Value x = view.activation(0);
  const float fill = read_fill(b, view);
  const std::size_t rank = x.map.rank();
  const bool image = (rank == 3 || rank == 4) && x.map.dims()[0] == Extent{1, true} && pads[0] == Pads::value_type{} &&
                     pads[1] == Pads::value_type{};
  const bool least = fill <= -1e30f;
  if (!image || (fill != 0 && !least) || (!x.padding.none() && x.padding.least != least)) {
    check_supported(!least, "it pads with the smallest number what is no image; 0 is supported");
    return padded_with(b, view.name, without_padding(b, view.name, x), pads, fill);
  }
  const auto [top, bottom] = pads[2];
  const auto [left, right] = rank == 4 ? pads[3] : Pads::value_type{};
  x.padding = {x.padding.top + top, x.padding.left + left, x.padding.bottom + bottom, x.padding.right + right, least};
  check(std::max({x.padding.top, x.padding.left, x.padding.bottom, x.padding.right}) <= kMaxExtent,
        "its padding is beyond 2^20");
  return x;
}

/// The pieces of an axis of `extent` with that much of its mirror image, its ends or its own repetition around it.
std::vector<Piece> pieces_around(const std::string& mode, std::int64_t extent, std::int64_t before,
                                 std::int64_t behind) {
  std::vector<Piece> pieces;
  if (mode == "edge") {
    if (before > 0) pieces.push_back({0, 0, before});
    pieces.push_back({0, 1, extent});
    if (behind > 0) pieces.push_back({extent - 1, 0, behind});
    return pieces;
  }
  const bool reflect = mode == "reflect";
  check_supported(before < extent + (reflect ? 0 : 1) && behind < extent + (reflect ? 0 : 1),
                  "its pads {} and {} reach beyond the extent {}", before, behind, extent);
  if (before > 0) pieces.push_back(reflect ? Piece{before, -1, before} : Piece{extent - before, 1, before});
  pieces.push_back({0, 1, extent});
  if (behind > 0) pieces.push_back(reflect ? Piece{extent - 2, -1, behind} : Piece{0, 1, behind});
  return pieces;
}

/// The only sample on an axis of its own in front, so that all others hold elements of one sample.
IndexMap sample_in_front(const IndexMap& map) {
  std::vector<IndexMap::Axis> axes{{{1, 0, true}}};
  for (const IndexMap::Axis& axis : map.axes()) {
    IndexMap::Axis& own = axes.emplace_back();
    std::ranges::copy_if(axis, std::back_inserter(own), [](const auto& factor) { return !factor.batch; });
    if (own.empty()) own.push_back({1, 0});
  }
  return IndexMap(std::move(axes), map.offset());
}

/// Elements `places` of an axis: a part of the map where they lie at regular distances, else moved.
Value take(Builder& b, NodeView& view, const Value& x, std::size_t axis, const std::vector<std::int64_t>& places) {
  const std::vector<Piece> pieces = pieces_of(places);
  const Piece& only = pieces.front();
  if (pieces.size() == 1 && (only.step != 0 || only.count == 1)) {
    if (auto map = x.map.slice(axis, only.start, only.count == 1 ? 1 : only.step, only.count)) {
      Value result = x;
      result.map = *std::move(map);
      return result;
    }
  }
  std::vector<std::vector<Piece>> all(x.map.rank());
  all[axis] = pieces;
  return b.assemble(view.name, x, all);
}

}  // namespace

std::vector<Builder::Piece> pieces_of(const std::vector<std::int64_t>& places) {
  std::vector<Piece> pieces;
  for (const std::int64_t place : places) {
    if (!pieces.empty()) {
      Piece& last = pieces.back();
      if (last.count == 1) last.step = place - last.start;
      if (place == last.start + last.step * last.count) {
        ++last.count;
        continue;
      }
      if (last.count == 1) last.step = 1;
    }
    pieces.push_back({place, 1, 1});
  }
  check_supported(pieces.size() <= kMostPieces, "one of its axes is made of more than {} pieces", kMostPieces);
  return pieces;
}

Value import_pad(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  auto pads = read_pads(b, view, x.map.rank());
  const Extents dims = b.extents(x);
  for (std::size_t axis = 0; axis < pads.size(); ++axis) {
    check_supported(!dims[axis].batch || pads[axis] == std::pair<std::int64_t, std::int64_t>{}, "it pads the samples");
  }
  const std::string mode = view.attributes.text("mode", "constant");
  const bool crops = std::ranges::any_of(pads, [](const auto& pad) { return pad.first < 0 || pad.second < 0; });
  if (mode == "constant" && !crops) return pad_with_constant(b, view, pads);
  check_supported(mode == "constant" || !crops, "it crops by negative pads and adds others");
  check(mode == "constant" || mode == "edge" || mode == "reflect" || mode == "wrap", "mode is '{}'", printable(mode));
  if (mode != "constant") read_fill(b, view);
  const Value plain = without_padding(b, view.name, view.activation(0));
  std::vector<std::vector<Piece>> pieces(pads.size());
  for (std::size_t axis = 0; axis < pads.size(); ++axis) {
    const auto [before, behind] = pads[axis];
    const std::int64_t extent = dims[axis].count;
    if (before == 0 && behind == 0) continue;
    if (crops) {
      check_supported(before <= 0 && behind <= 0 && extent + before + behind > 0, "it crops {} by {} and {}", extent,
                      before, behind);
      pieces[axis] = {{-before, 1, extent + before + behind}};
    } else {
      pieces[axis] = pieces_around(mode, extent, before, behind);
    }
  }
  return b.assemble(view.name, plain, pieces);
}

/// Of known indices, whose axes stand for the one that they index.
Value import_gather(Builder& b, NodeView& view) {
  Value x = view.activation(0);
  std::size_t axis = normal_axis(view.attributes.integer("axis", 0), x.map.rank());
  const bool samples = x.map.dims()[axis].batch;
  check_supported(!samples || b.batch == 1, "it takes some of the samples of {}", b.describe(x));
  if (samples) {
    x.map = sample_in_front(x.map);
    ++axis;
  }
  const IntegerTensor indices = view.integers(1, "indices");
  check_supported(!indices.values.empty(), "its indices have the shape {}", format_dims(indices.dims));
  const std::int64_t extent = x.map.dims()[axis].count;
  std::vector<std::int64_t> places;
  for (const std::int64_t index : indices.values) {
    check(index >= -extent && index < extent, "an index is {}, but the extent is {}", index, extent);
    places.push_back(index < 0 ? index + extent : index);
  }
  Value result = take(b, view, x, axis, places);
  result.view = view.name;
  if (indices.dims.empty()) {
    result.map = result.map.remove_axis(axis);
  } else if (indices.dims.size() > 1) {
    Extents dims = result.map.dims();
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
    for (std::size_t i = 0; i < indices.dims.size(); ++i) {
      dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis + i), Extent{indices.dims[i]});
    }
    const auto map = result.map.reshape(dims);
    check_supported(map.has_value(), "its indices of the shape {} meet {}", format_dims(indices.dims), b.describe(x));
    result.map = *map;
  }
  if (samples) result.map = result.map.remove_axis(0);
  return result;
}

}  // namespace qnudge
