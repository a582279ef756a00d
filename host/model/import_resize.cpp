// SPDX-License-Identifier: MIT
// Resize and Upsample: the nearest element is a move, linear interpolation a primitive of its own.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "elementwise.hpp"
#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMaxExtent = 1 << 20;

/// What a Resize does beside its scales.
struct Sampling {
  bool linear = false;
  ResizeCoordinates coordinates = ResizeCoordinates::asymmetric;
  std::string rounding = "floor";

  /// The nearest input element.
  std::int64_t nearest(const ResizeAxis& axis, std::int64_t o) const {
    const float x = axis.place(o);
    float place = std::floor(x);
    if (rounding == "ceil") place = std::ceil(x);
    if (rounding == "round_prefer_floor") place = std::ceil(x - 0.5f);
    if (rounding == "round_prefer_ceil") place = std::floor(x + 0.5f);
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(place), 0, axis.in - 1);
  }
};

Sampling read_sampling(const Builder& b, NodeView& view) {
  const std::string mode = view.attributes.text("mode", "nearest");
  check_supported(mode == "nearest" || mode == "linear", "its mode is '{}'; nearest and linear are supported",
                  printable(mode));
  Sampling sampling{.linear = mode == "linear"};
  if (b.opset < 11) return sampling;
  const std::string coordinates = view.attributes.text("coordinate_transformation_mode", "half_pixel");
  const auto known = resize_coordinates(coordinates);
  check_supported(known && !(sampling.linear && *known == ResizeCoordinates::tf_half_pixel_for_nn),
                  "coordinate_transformation_mode is '{}'", printable(coordinates));
  sampling.coordinates = *known;
  sampling.rounding = view.attributes.text("nearest_mode", "round_prefer_floor");
  for (const char* name : {"cubic_coeff_a", "extrapolation_value"}) view.attributes.real(name, 0);  // of other modes
  view.attributes.integer("exclude_outside", 0);                                                    // cubic alone
  const bool antialias = b.opset >= 18 && view.attributes.integer("antialias", 0) != 0;
  check_supported(!sampling.linear || !antialias, "it interpolates with antialias; 0 is supported");
  check_supported(b.opset < 18 || view.attributes.text("keep_aspect_ratio_policy", "stretch") == "stretch",
                  "it keeps the aspect ratio; stretch is supported");
  constexpr std::string_view kRoundings[] = {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"};
  check(std::ranges::count(kRoundings, sampling.rounding) == 1, "nearest_mode is '{}'", printable(sampling.rounding));
  return sampling;
}

struct AxisScale {
  std::int64_t out;
  float scale;
};

/// Output extent and scale of each axis, from scales or sizes.
std::vector<AxisScale> read_scales(Builder& b, NodeView& view, const Extents& dims) {
  std::vector<float> scales;
  std::vector<Affine> sizes;
  if (b.opset < 9) {
    const auto* attribute = view.attributes.find("scales");
    check(attribute != nullptr, "its scales are missing");
    scales.assign(attribute->floats().begin(), attribute->floats().end());
  } else {
    const std::size_t at = b.opset < 11 ? 1 : 2;
    if (view.has(at)) scales = view.floats(at, "scales").values;
    if (scales.empty() && view.has(3)) sizes = view.affine(3, "sizes");
  }
  std::vector<std::size_t> axes(dims.size());
  for (std::size_t i = 0; i < axes.size(); ++i) axes[i] = i;
  if (b.opset >= 18) {
    if (const auto stated = view.attributes.integers("axes")) {
      axes.clear();
      for (const std::int64_t axis : *stated) axes.push_back(normal_axis(axis, dims.size()));
    }
  }
  check(scales.size() == axes.size() || sizes.size() == axes.size(), "it has {} scales and {} sizes for {} axes",
        scales.size(), sizes.size(), axes.size());
  std::vector<AxisScale> result;
  for (const Extent& extent : dims) result.push_back({extent.count, 1});
  for (std::size_t i = 0; i < axes.size(); ++i) {
    AxisScale& to = result[axes[i]];
    const Extent& extent = dims[axes[i]];
    const auto in = static_cast<float>(extent.count);
    if (!scales.empty()) {
      check(scales[i] > 0 && scales[i] < kMostResize, "a scale is {}", scales[i]);
      to = {ResizeAxis::resized(extent.count, scales[i]), scales[i]};
    } else if (sizes[i] != b.number(extent)) {
      check_supported(sizes[i].fixed(), "a size depends on the number of samples");
      to = {sizes[i].base, static_cast<float>(sizes[i].base) / in};
    }
    check(to.out >= 1 && to.out <= kMaxExtent, "an extent becomes {}; 1 to 2^20 is needed", to.out);
    check_supported(!extent.batch || to.out == extent.count, "it resizes the samples");
  }
  return result;
}

/// `factor` if every element is repeated that often, else 0.
std::int64_t repetition(const std::vector<std::int64_t>& places, std::int64_t extent) {
  const auto out = static_cast<std::int64_t>(places.size());
  if (out % extent != 0) return 0;
  for (std::int64_t o = 0; o < out; ++o) {
    if (places[static_cast<std::size_t>(o)] != o / (out / extent)) return 0;
  }
  return out / extent;
}

/// The scale closest to `axis.scale` that says the output's extent, whether the product is rounded to float or not.
float exact_scale(const AxisScale& axis, std::int64_t in) {
  const auto extent = static_cast<double>(in), wanted = static_cast<double>(axis.out);
  float scale = axis.scale;
  while (extent * static_cast<double>(scale) < wanted) scale = std::nextafter(scale, kMostResize);
  return scale;
}

/// Interpolation along height and width alone.
Value interpolate(Builder& b, NodeView& view, ResizeCoordinates coordinates, const std::vector<AxisScale>& scales) {
  const Value x = b.spatial(view.activation(0));
  const Extents dims = b.extents(x);
  const auto scale = [&](std::size_t axis) {
    return axis < dims.size() ? exact_scale(scales[axis], dims[axis].count) : 1.0f;
  };
  check_supported(scales[1].out == dims[1].count && scales[1].scale == 1, "it interpolates between channels");
  const FloatMix mix{coordinates, scale(2), scale(3)};
  if (mix.scale_h == 1 && mix.scale_w == 1) return x;
  return b.add_spatial(make_node(mix, view.name, {x.node}), dims.size() - 2);
}

/// Every element is one of x.
Value pick_nearest(Builder& b, NodeView& view, const Sampling& sampling, const std::vector<AxisScale>& scales) {
  const Value& x = view.activation(0);
  const Extents dims = x.map.dims();
  Value result = x;
  std::vector<std::vector<Builder::Piece>> pieces(dims.size());
  bool whole = true;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    std::vector<std::int64_t> places;
    if (scales[axis].out == dims[axis].count && scales[axis].scale == 1) continue;
    const ResizeAxis along{sampling.coordinates, dims[axis].count, scales[axis].out, scales[axis].scale};
    for (std::int64_t o = 0; o < along.out; ++o) places.push_back(sampling.nearest(along, o));
    pieces[axis] = pieces_of(places);
    const std::int64_t factor = repetition(places, dims[axis].count);
    whole = whole && factor > 0;
    if (!whole) continue;
    // The axis behind repeats each element; both are joined without looking at the samples.
    std::vector<IndexMap::Axis> axes = result.map.axes();
    axes[axis].push_back({factor, 0});
    result.map = IndexMap(std::move(axes), result.map.offset());
  }
  result.view = view.name;
  return whole ? result : b.assemble(view.name, x, pieces);
}

}  // namespace

Value import_resize(Builder& b, NodeView& view) {
  const Sampling sampling = read_sampling(b, view);
  const std::vector<AxisScale> scales = read_scales(b, view, view.activation(0).map.dims());
  if (sampling.linear) return interpolate(b, view, sampling.coordinates, scales);
  return pick_nearest(b, view, sampling, scales);
}

}  // namespace qnudge
