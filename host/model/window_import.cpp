// SPDX-License-Identifier: MIT
#include "window_import.hpp"

#include <algorithm>

#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMaxWindowValue = 1 << 20;  ///< products of two of these and an extent stay far below 2^63

AutoPad read_auto_pad(NodeView& view) {
  const std::string text = view.attributes.text("auto_pad", "NOTSET");
  if (text == "NOTSET") return AutoPad::none;
  if (text == "VALID") return AutoPad::valid;
  if (text == "SAME_UPPER") return AutoPad::same_upper;
  if (text == "SAME_LOWER") return AutoPad::same_lower;
  malformed("auto_pad is '{}'; NOTSET, VALID, SAME_UPPER or SAME_LOWER is needed", printable(text));
}

std::vector<std::int64_t> read_kernel(NodeView& view, const std::vector<std::int64_t>& weight_window,
                                      std::size_t rank) {
  const bool stated = view.attributes.find("kernel_shape") != nullptr;
  check(stated || !weight_window.empty(), "kernel_shape is missing");
  const std::vector<std::int64_t> kernel = stated ? read_per_axis(view, "kernel_shape", rank, 1, 1) : weight_window;
  check(weight_window.empty() || kernel == weight_window, "kernel_shape is {}, but the weights' window is {}",
        format_dims(kernel), format_dims(weight_window));
  for (const std::int64_t extent : kernel) {
    check(extent >= 1 && extent <= kMaxWindowValue, "a window extent is {}; 1 to 2^20 is needed", extent);
  }
  return kernel;
}

}  // namespace

std::vector<std::int64_t> read_per_axis(NodeView& view, std::string_view name, std::size_t count, std::int64_t low,
                                        std::int64_t fallback) {
  const auto list = view.attributes.integers(name);
  if (!list) return std::vector<std::int64_t>(count, fallback);
  check(list->size() == count, "{} has {} entries; {} are needed", name, list->size(), count);
  for (const std::int64_t entry : *list) {
    check(entry >= low && entry <= kMaxWindowValue, "{} holds {}; {} to 2^20 is needed", name, entry, low);
  }
  return *list;
}

WindowAxes read_window(NodeView& view, const Shape& in, std::size_t rank,
                       const std::vector<std::int64_t>& weight_window, AutoPad& auto_pad) {
  const auto kernel = read_kernel(view, weight_window, rank);
  const auto strides = read_per_axis(view, "strides", rank, 1, 1);
  const auto dilations = read_per_axis(view, "dilations", rank, 1, 1);
  const auto pads = read_per_axis(view, "pads", 2 * rank, 0, 0);
  auto_pad = read_auto_pad(view);
  check(auto_pad == AutoPad::none || std::ranges::all_of(pads, [](std::int64_t pad) { return pad == 0; }),
        "auto_pad and pads are both given");
  WindowAxes axes;
  axes[1].in = in.w;
  axes[0].in = in.h;
  for (std::size_t i = 0; i < rank; ++i) {
    axes[i] = {axes[i].in, kernel[i], strides[i], dilations[i], pads[i], pads[rank + i]};
  }
  return axes;
}

void apply_auto_pad(WindowAxes& axes, AutoPad auto_pad) {
  if (auto_pad != AutoPad::same_upper && auto_pad != AutoPad::same_lower) return;
  for (WindowAxis& axis : axes) {
    const std::int64_t out = (axis.in - 1) / axis.stride + 1;
    const std::int64_t total = std::max<std::int64_t>((out - 1) * axis.stride + axis.effective() - axis.in, 0);
    axis.pad_before = auto_pad == AutoPad::same_upper ? total / 2 : total - total / 2;
    axis.pad_after = total - axis.pad_before;
  }
}

void take_padding(WindowAxes& axes, const Padding& around) {
  const std::int64_t before[] = {around.top, around.left}, after[] = {around.bottom, around.right};
  for (std::size_t i = 0; i < axes.size(); ++i) {
    axes[i].in -= before[i] + after[i];
    axes[i].pad_before += before[i];
    axes[i].pad_after += after[i];
  }
}

Window to_window(const WindowAxes& axes) {
  const auto& [h, w] = axes;
  return {.r = h.window,
          .s = w.window,
          .stride_h = h.stride,
          .stride_w = w.stride,
          .dilation_h = h.dilation,
          .dilation_w = w.dilation,
          .pad_top = h.pad_before,
          .pad_left = w.pad_before,
          .pad_bottom = h.pad_after,
          .pad_right = w.pad_after};
}

}  // namespace qnudge
