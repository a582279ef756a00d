// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// code[i] = clamp(rint(a[i] * m_a + b[i] * m_b), low, high). m_a and m_b are powers of two, so both products are exact
/// and the sum rounds once.
struct AddCodes {
  const std::int8_t *a, *b;  ///< codes
  std::int8_t* code;         ///< in [low, high]; may be `a` or `b`
  float m_a, m_b;
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    code[i] = to_code(static_cast<float>(a[i]) * m_a + static_cast<float>(b[i]) * m_b, low, high);
  }
};

/// code[i] = clamp(x[i], low, high).
struct ClampCodes {
  const std::int8_t* x;
  std::int8_t* code;  ///< may be `x`
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int32_t v = x[i];
    code[i] = static_cast<std::int8_t>(v < low ? low : (v > high ? high : v));
  }
};

/// code[i] = table[x[i] + 128].
struct LookupCodes {
  const std::int8_t* x;
  const std::int8_t* table;  ///< [256], indexed by input code + 128
  std::int8_t* code;         ///< may be `x`

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = table[x[i] + 128]; }
};

/// Element i of a pooled tensor [N, OH, OW, C] taken apart, and the corner of its window.
struct PoolPosition {
  std::int64_t n, oy, ox, c, y0, x0;

  QNUDGE_HOST_DEVICE static PoolPosition of(std::int64_t i, const Shape& out, const Window& window) {
    PoolPosition p{};
    p.c = i % out.c;
    p.ox = i / out.c % out.w;
    p.oy = i / (out.c * out.w) % out.h;
    p.n = i / (out.c * out.w * out.h);
    p.y0 = p.oy * window.stride_h - window.pad_top;
    p.x0 = p.ox * window.stride_w - window.pad_left;
    return p;
  }
};

/// Calls f(code) for every tap of the window inside the image.
template <class F>
QNUDGE_HOST_DEVICE void for_each_tap(const std::int8_t* x, const Shape& in, const Window& window,
                                     const PoolPosition& at, const F& f) {
  for (std::int64_t r = 0; r < window.r; ++r) {
    const std::int64_t iy = at.y0 + r * window.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < window.s; ++s) {
      const std::int64_t ix = at.x0 + s * window.dilation_w;
      if (ix >= 0 && ix < in.w) f(x[((at.n * in.h + iy) * in.w + ix) * in.c + at.c]);
    }
  }
}

/// code[i] = clamp(rint(float(sum of the window's taps) * m), -128, 127).
struct AveragePoolCodes {
  const std::int8_t* x;  ///< [N, H, W, C]
  std::int8_t* code;     ///< [N, OH, OW, C]
  Shape in, out;
  Window window;
  float multiplier;          ///< where the divisor is the same everywhere
  const float* multipliers;  ///< [OH, OW] where it is not; nullptr otherwise

  QNUDGE_HOST_DEVICE float multiplier_at(const PoolPosition& at) const {
    return multipliers != nullptr ? multipliers[at.oy * out.w + at.ox] : multiplier;
  }
  QNUDGE_HOST_DEVICE static std::int8_t pooled(std::int32_t sum, float m) {
    return to_code(static_cast<float>(sum) * m, -128, 127);
  }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const PoolPosition at = PoolPosition::of(i, out, window);
    std::int32_t sum = 0;
    for_each_tap(x, in, window, at, [&sum](std::int32_t v) { sum += v; });
    code[i] = pooled(sum, multiplier_at(at));
  }
};

/// code[i] = largest tap of the window inside the image.
struct MaxPoolCodes {
  const std::int8_t* x;  ///< [N, H, W, C]
  std::int8_t* code;     ///< [N, OH, OW, C]
  Shape in, out;
  Window window;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    std::int32_t largest = -128;
    for_each_tap(x, in, window, PoolPosition::of(i, out, window),
                 [&largest](std::int32_t v) { largest = v > largest ? v : largest; });
    code[i] = static_cast<std::int8_t>(largest);
  }
};

}  // namespace qnudge
