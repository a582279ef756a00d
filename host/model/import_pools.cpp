// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"
#include "window_import.hpp"

namespace qnudge {
namespace {

std::int64_t axis_extent(const WindowAxis& axis) {
  return window_extent(axis.in, axis.window, axis.stride, axis.dilation, axis.pad_before, axis.pad_after, 1);
}

/// Padding behind the image that makes the floored extent equal ceil_mode's: one window more, if it starts inside the
/// image or the padding before it.
std::int64_t ceil_extension(const WindowAxis& axis) {
  const std::int64_t room = axis.in + axis.pad_before + axis.pad_after - axis.effective();
  if (room < 0 || room % axis.stride == 0) return 0;
  const std::int64_t last_start = (room / axis.stride + 1) * axis.stride;
  return last_start >= axis.in + axis.pad_before ? 0 : axis.stride - room % axis.stride;
}

/// True if every window has a tap inside the image.
bool every_window_meets_image(const WindowAxis& axis) {
  const std::int64_t last = (axis_extent(axis) - 1) * axis.stride - axis.pad_before;
  if (last >= axis.in) return false;
  for (std::int64_t start = -axis.pad_before; start < 0 && start <= last; start += axis.stride) {
    const std::int64_t first_tap = (-start + axis.dilation - 1) / axis.dilation;  // first at or behind the edge
    if (first_tap >= axis.window || start + first_tap * axis.dilation >= axis.in) return false;
  }
  return true;
}

void check_pool_axis(const WindowAxis& axis) {
  check(axis_extent(axis) > 0, "its window of {} (dilation {}) does not fit the extent {} with padding {} and {}",
        axis.window, axis.dilation, axis.in, axis.pad_before, axis.pad_after);
  check(axis.pad_before < axis.window && axis.pad_after < axis.window,
        "its padding of {} and {} reaches the window of {}", axis.pad_before, axis.pad_after, axis.window);
  check(every_window_meets_image(axis), "a window of {} (dilation {}) would lie wholly in the padding", axis.window,
        axis.dilation);
}

/// Reads the window of a pool; ceil_mode becomes padding behind the image. `extended`: whether it did.
WindowAxes read_pool_window(Builder& b, NodeView& view, const Shape& in, bool& extended) {
  AutoPad auto_pad{};
  WindowAxes axes = read_window(b, view, in, {}, auto_pad);
  apply_auto_pad(axes, auto_pad);
  const bool ceil_mode = view.attributes.integer("ceil_mode", 0) != 0;
  extended = false;
  for (WindowAxis& axis : axes) {
    check_pool_axis(axis);
    if (!ceil_mode) continue;
    const std::int64_t extension = ceil_extension(axis);
    check_supported(extension == 0 || axis.pad_after + extension < axis.window,
                    "ceil_mode adds a window that reaches {} beyond the image, as far as the window's extent of {}",
                    axis.pad_after + extension, axis.window);
    axis.pad_after += extension;
    extended = extended || extension > 0;
    check_pool_axis(axis);
  }
  return axes;
}

Value add_pool(Builder& b, NodeView& view, WindowKind kind, const Value& x, const WindowAxes& axes,
               bool count_include_pad) {
  return b.add(make_node(FloatWindow{kind, to_window(axes), count_include_pad}, view.name, {x.node}), false);
}

Value add_global_average(Builder& b, NodeView& view, const Value& x) {
  const Shape in = b.shape(x);
  return add_pool(b, view, WindowKind::average, x, {WindowAxis{in.h, in.h}, WindowAxis{in.w, in.w}}, false);
}

/// The reduced axes: an attribute before opset 18, an input since.
std::vector<std::int64_t> read_axes(const Builder& b, NodeView& view) {
  if (b.opset < 18) {
    check(!view.has(1), "axes are an input only since opset 18");
    return view.attributes.integers("axes").value_or(std::vector<std::int64_t>{});
  }
  view.attributes.integer("noop_with_empty_axes", 0);  // without axes it is unsupported either way
  if (!view.has(1)) return {};
  return read_integers(view.constant(1, "axes")).values;
}

}  // namespace

Value import_max_pool(Builder& b, NodeView& view) {
  const Value& x = view.spatial(0);
  view.attributes.integer("storage_order", 0);  // orders the indices, which nobody may read
  bool extended = false;
  const WindowAxes axes = read_pool_window(b, view, b.shape(x), extended);
  return add_pool(b, view, WindowKind::max, x, axes, false);
}

Value import_average_pool(Builder& b, NodeView& view) {
  const Value& x = view.spatial(0);
  bool extended = false;
  const WindowAxes axes = read_pool_window(b, view, b.shape(x), extended);
  for (const WindowAxis& axis : axes) check_supported(axis.dilation == 1, "dilated average pooling");
  const bool include = view.attributes.integer("count_include_pad", 0) != 0;
  check_supported(!extended || !include,
                  "ceil_mode with count_include_pad = 1 divides the last window by fewer taps than its extent");
  return add_pool(b, view, WindowKind::average, x, axes, include);
}

Value import_global_average_pool(Builder& b, NodeView& view) {
  return add_global_average(b, view, view.spatial(0));
}

Value import_reduce_mean(Builder& b, NodeView& view) {
  const Value& x = view.spatial(0);
  const bool keep = view.attributes.integer("keepdims", 1) != 0;
  std::vector<std::int64_t> axes = read_axes(b, view);
  const std::string stated = format_dims(axes);
  const auto rank = static_cast<std::int64_t>(b.rank()) + 2;
  for (std::int64_t& axis : axes) axis = axis < 0 && axis >= -rank ? axis + rank : axis;
  std::ranges::sort(axes);
  const std::vector<std::int64_t> spatial =
      b.rank() == 1 ? std::vector<std::int64_t>{2} : std::vector<std::int64_t>{2, 3};
  check_supported(axes == spatial, "it averages over the axes {}; all spatial axes {} are supported", stated,
                  format_dims(spatial));
  const Value mean = add_global_average(b, view, x);
  if (keep) return mean;
  return b.add(make_node(FloatMove{}, b.unique_name(view.name + "_flatten"), {mean.node}, b.shape(mean)), true);
}

}  // namespace qnudge
