// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"

namespace qnudge {

/// A sliding window. Padding may be asymmetric.
struct Window {
  std::int64_t r = 1, s = 1;  ///< extent (height, width)
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

/// Convolution as correlation over an input that is first spread by `spread` (input[i] lands at i * spread, zeros
/// between). An ordinary convolution has spread 1. ONNX's ConvTranspose of stride s is the window of stride 1 over the
/// input spread by s with the flipped filter and padding dilation * (R - 1) - pad (which may be negative: cropping);
/// weights are stored flipped, so that every later part sees one kind of convolution.
struct ConvGeometry {
  Window window;
  std::int64_t groups = 1;
  std::int64_t spread_h = 1, spread_w = 1;
  bool transposed = false;  ///< export writes ConvTranspose
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

/// Filter extents; K output channels, C input channels per group. Weights are linear in KRSC.
struct FilterShape {
  std::int64_t k = 0, r = 0, s = 0, c = 0;
  QNUDGE_HOST_DEVICE std::int64_t taps() const { return r * s * c; }  ///< weights of one output channel
  QNUDGE_HOST_DEVICE std::int64_t size() const { return k * taps(); }
  friend bool operator==(const FilterShape&, const FilterShape&) = default;
};

/// Output extent of one axis: floor((spread-in extent + padding - effective window) / stride) + 1, 0 if it does not
/// fit.
std::int64_t window_extent(std::int64_t in, std::int64_t window, std::int64_t stride, std::int64_t dilation,
                           std::int64_t pad_before, std::int64_t pad_after, std::int64_t spread);

/// Shape of `channels` channels that `window` gives when slid over `in`; extents 0 where it does not fit.
Shape slide(const Shape& in, const Window& window, std::int64_t channels, std::int64_t spread_h = 1,
            std::int64_t spread_w = 1);

/// Divisor of an average over a window whose top-left tap stands at (y0, x0), which may lie in the padding: taps inside
/// the image, or with `count_include_pad` taps inside image plus padding; at least 1.
std::int64_t pool_divisor(const Window& window, bool count_include_pad, const Shape& in, std::int64_t y0,
                          std::int64_t x0);

}  // namespace qnudge
