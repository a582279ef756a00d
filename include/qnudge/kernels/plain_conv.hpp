// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// One output element of a convolution over candidates, by definition: tensors [N, H, W, P, C], filters [P, K, R, S,
/// C/G]. The candidate strides say what candidates share: 0 for one tensor or filter that serves them all. y[i] as code
/// = clamp(rint(t * m[k]), low, high), or as fp32 t * m[k], max(0, .) if low is 0; with `add` clamp(rint(code * m_conv
/// + residual[i] * m_residual), add_low, add_high).
struct PlainConv {
  const std::int8_t* x;         ///< [N, H, W, C] if `input_candidates` is 1, else [N, H, W, P, C]
  const std::int8_t* w;         ///< [K, R, S, C/G], or [P, K, R, S, C/G] if `filter_stride` is its size
  const float* bias;            ///< [K], or [P, K] with `filter_stride`; integers on the accumulator's grid
  const float* m;               ///< [K], or [P, K] with `filter_stride`
  const std::int8_t* residual;  ///< [N, OH, OW, P, K] or nullptr: no addition
  std::int8_t* code;            ///< [N, OH, OW, P, K], or nullptr: fp32 output
  float* y;                     ///< [N, OH, OW, P, K], or nullptr
  Shape in, out;
  FilterShape filter;
  ConvGeometry conv;
  std::int64_t candidates;        ///< P
  std::int64_t input_candidates;  ///< 1 or P
  std::int64_t filter_stride;     ///< 0 or K * R * S * C/G
  float m_conv, m_residual;       ///< powers of two
  std::int32_t low, high, add_low, add_high;

  /// Index before spreading of position `at` on an axis spread by `spread`; -1 where the tap reads a zero.
  QNUDGE_HOST_DEVICE static std::int64_t unspread(std::int64_t at, std::int64_t spread, std::int64_t extent) {
    if (at < 0 || at % spread != 0) return -1;
    const std::int64_t index = at / spread;
    return index < extent ? index : -1;
  }

  QNUDGE_HOST_DEVICE std::int32_t accumulate(std::int64_t n, std::int64_t oy, std::int64_t ox, std::int64_t p,
                                             std::int64_t k) const {
    const Window& g = conv.window;
    const std::int64_t c0 = k / (filter.k / conv.groups) * filter.c;
    const std::int64_t shared = input_candidates == 1 ? 0 : p;
    const std::int8_t* tap = w + p * filter_stride + k * filter.taps();
    std::int32_t acc = 0;
    for (std::int64_t r = 0; r < filter.r; ++r) {
      const std::int64_t iy = unspread(oy * g.stride_h + r * g.dilation_h - g.pad_top, conv.spread_h, in.h);
      for (std::int64_t s = 0; s < filter.s; ++s, tap += filter.c) {
        const std::int64_t ix = unspread(ox * g.stride_w + s * g.dilation_w - g.pad_left, conv.spread_w, in.w);
        if (iy < 0 || ix < 0) continue;
        const std::int8_t* pixel = x + (((n * in.h + iy) * in.w + ix) * input_candidates + shared) * in.c + c0;
        for (std::int64_t c = 0; c < filter.c; ++c) acc += pixel[c] * tap[c];
      }
    }
    return acc;
  }

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t k = i % filter.k, p = i / filter.k % candidates;
    const std::int64_t pixel = i / (filter.k * candidates);
    const std::int64_t ox = pixel % out.w, oy = pixel / out.w % out.h, n = pixel / (out.w * out.h);
    const std::int64_t channel = filter_stride == 0 ? k : p * filter.k + k;
    const float v = (static_cast<float>(accumulate(n, oy, ox, p, k)) + bias[channel]) * m[channel];
    if (code == nullptr) {
      y[i] = low == 0 && !(v > 0.0f) ? 0.0f : v;
      return;
    }
    const std::int8_t own = to_code(v, low, high);
    code[i] = residual == nullptr
                  ? own
                  : to_code(static_cast<float>(own) * m_conv + static_cast<float>(residual[i]) * m_residual, add_low,
                            add_high);
  }
};

}  // namespace qnudge
