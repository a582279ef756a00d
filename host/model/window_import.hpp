// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "importer.hpp"

namespace qnudge {

/// One spatial axis of a sliding window as ONNX spells it.
struct WindowAxis {
  std::int64_t in = 1;  ///< input extent
  std::int64_t window = 1, stride = 1, dilation = 1, pad_before = 0, pad_after = 0;

  std::int64_t effective() const { return dilation * (window - 1) + 1; }
};
using WindowAxes = std::array<WindowAxis, 2>;  ///< height, width; the second is trivial in one dimension

enum class AutoPad { none, valid, same_upper, same_lower };

/// Reads kernel_shape, strides, dilations, pads and auto_pad (into `auto_pad`, not yet applied) for an input of extent
/// `in` with `rank` spatial axes. `weight_window` (spatial extents of the weights) is what kernel_shape must equal;
/// empty: kernel_shape is required. Refuses extents, strides and dilations outside 1 to 2^20 and pads outside 0 to
/// 2^20.
WindowAxes read_window(NodeView& view, const Shape& in, std::size_t rank,
                       const std::vector<std::int64_t>& weight_window, AutoPad& auto_pad);

/// A list attribute with one entry per spatial axis, each in [low, 2^20]; all `fallback` if absent.
std::vector<std::int64_t> read_per_axis(NodeView& view, std::string_view name, std::size_t count, std::int64_t low,
                                        std::int64_t fallback);

/// Replaces the padding of a window over an input that is not spread by what `auto_pad` asks for.
void apply_auto_pad(WindowAxes& axes, AutoPad auto_pad);

/// Turns an image with `around` and a window over it into the image alone and a window that is padded by as much more.
void take_padding(WindowAxes& axes, const Padding& around);

Window to_window(const WindowAxes& axes);

}  // namespace qnudge
