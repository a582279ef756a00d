// SPDX-License-Identifier: MIT
#include "qnudge/model/geometry.hpp"

#include <algorithm>

namespace qnudge {

std::int64_t window_extent(std::int64_t in, std::int64_t window, std::int64_t stride, std::int64_t dilation,
                           std::int64_t pad_before, std::int64_t pad_after, std::int64_t spread) {
  const std::int64_t spread_in = spread * (in - 1) + 1;
  const std::int64_t effective = dilation * (window - 1) + 1;
  const std::int64_t room = spread_in + pad_before + pad_after - effective;
  return room < 0 ? 0 : room / stride + 1;
}

Shape slide(const Shape& in, const Window& w, std::int64_t channels, std::int64_t spread_h, std::int64_t spread_w) {
  return {window_extent(in.h, w.r, w.stride_h, w.dilation_h, w.pad_top, w.pad_bottom, spread_h),
          window_extent(in.w, w.s, w.stride_w, w.dilation_w, w.pad_left, w.pad_right, spread_w), channels};
}

std::int64_t pool_divisor(const Window& w, bool count_include_pad, const Shape& in, std::int64_t y0, std::int64_t x0) {
  const auto taps = [&](std::int64_t first, std::int64_t count, std::int64_t dilation, std::int64_t extent,
                        std::int64_t pad_before, std::int64_t pad_after) {
    const std::int64_t low = count_include_pad ? -pad_before : 0;
    const std::int64_t high = count_include_pad ? extent + pad_after : extent;
    std::int64_t inside = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = first + i * dilation;
      inside += at >= low && at < high ? 1 : 0;
    }
    return inside;
  };
  return std::max<std::int64_t>(1, taps(y0, w.r, w.dilation_h, in.h, w.pad_top, w.pad_bottom) *
                                       taps(x0, w.s, w.dilation_w, in.w, w.pad_left, w.pad_right));
}

}  // namespace qnudge
