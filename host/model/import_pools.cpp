// SPDX-License-Identifier: MIT
#include <algorithm>
#include <utility>

#include "elementwise.hpp"
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

/// Reads the window of a pool over an image with `around`; ceil_mode becomes padding behind the image. `extended`:
/// whether it did.
WindowAxes read_pool_window(Builder& b, NodeView& view, const Value& x, const Padding& around, bool& extended) {
  AutoPad auto_pad{};
  WindowAxes axes = read_window(view, b.shape(x), x.map.rank() - 2, {}, auto_pad);
  axes[0].in += around.top + around.bottom;
  axes[1].in += around.left + around.right;
  apply_auto_pad(axes, auto_pad);
  const bool ceil_mode = view.attributes.integer("ceil_mode", 0) != 0;
  extended = false;
  for (WindowAxis& axis : axes) {
    const std::int64_t extension = ceil_mode && axis_extent(axis) > 0 ? ceil_extension(axis) : 0;
    check_supported(extension == 0 || axis.pad_after + extension < axis.window,
                    "ceil_mode adds a window that reaches {} beyond the image, as far as the window's extent of {}",
                    axis.pad_after + extension, axis.window);
    axis.pad_after += extension;
    extended = extended || extension > 0;
  }
  take_padding(axes, around);
  for (const WindowAxis& axis : axes) check_pool_axis(axis);
  return axes;
}

/// Whether no element of the value is below zero.
bool is_nonnegative(const Graph& graph, int index) {
  const Node& node = graph.nodes[static_cast<std::size_t>(index)];
  if (const auto bounds = bounds_of(node)) return bounds->low >= 0;
  const bool passes = std::holds_alternative<FloatWindow>(node.what) || std::holds_alternative<FloatMove>(node.what);
  return passes && std::ranges::all_of(node.inputs, [&](int input) { return is_nonnegative(graph, input); });
}

/// Whether the operator pads by itself.
bool has_padding(NodeView& view) {
  const auto pads = view.attributes.integers("pads");
  const std::string automatic = view.attributes.text("auto_pad", "NOTSET");
  return automatic.starts_with("SAME") || view.attributes.integer("ceil_mode", 0) != 0 ||
         (pads && std::ranges::any_of(*pads, [](std::int64_t pad) { return pad != 0; }));
}

Value add_pool(Builder& b, NodeView& view, WindowKind kind, const Value& x, const WindowAxes& axes,
               bool count_include_pad) {
  return b.add_spatial(make_node(FloatWindow{kind, to_window(axes), count_include_pad}, view.name, {x.node}),
                       x.map.rank() - 2);
}

Value add_global_average(Builder& b, NodeView& view, const Value& x) {
  const Shape in = b.shape(x);
  return add_pool(b, view, WindowKind::average, x, {WindowAxis{in.h, in.h}, WindowAxis{in.w, in.w}}, false);
}

}  // namespace

Value import_max_pool(Builder& b, NodeView& view) {
  Value x = view.activation(0);
  // Zeros that a maximum may meet are elements; below them the window's own padding, which counts for nothing, is
  // equal.
  if (!x.padding.none() && !x.padding.least && !is_nonnegative(b.graph, x.node)) x = without_padding(b, view.name, x);
  x = b.spatial(x);
  const Padding around = x.padding;
  view.attributes.integer("storage_order", 0);  // orders the indices, which nobody may read
  bool extended = false;
  const WindowAxes axes = read_pool_window(b, view, x, around, extended);
  return add_pool(b, view, WindowKind::max, x, axes, false);
}

Value import_average_pool(Builder& b, NodeView& view) {
  Value x = view.activation(0);
  const bool stated = view.attributes.integer("count_include_pad", 0) != 0;
  // Zeros that count beside padding of the window's own that does not are elements.
  if (!stated && has_padding(view)) x = without_padding(b, view.name, x);
  x = b.spatial(x);
  const Padding& p = x.padding;
  check_supported(!p.least, "it averages over padding by the smallest number");
  bool extended = false;
  const WindowAxes axes = read_pool_window(b, view, x, p, extended);
  for (const WindowAxis& axis : axes) check_supported(axis.dilation == 1, "dilated average pooling");
  const bool include = stated || !p.none();
  check_supported(!extended || !include,
                  "ceil_mode with count_include_pad = 1 divides the last window by fewer taps than its extent");
  return add_pool(b, view, WindowKind::average, x, axes, include);
}

Value import_global_average_pool(Builder& b, NodeView& view) {
  return add_global_average(b, view, b.spatial(view.activation(0)));
}

}  // namespace qnudge
