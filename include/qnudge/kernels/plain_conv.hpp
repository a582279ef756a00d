// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/conv_code.hpp"
#include "qnudge/kernels/unspread.hpp"
#include "qnudge/model/geometry.hpp"

namespace qnudge {

/// One output element of a convolution over candidates, by definition: tensors [N, H, W, P, C], filters [P, K, R, S,
/// C/G]. The candidate strides say what candidates share: 0 for one tensor or filter that serves them all. y[i] as
/// element (conv_code.hpp), or as fp32 t * m[k], max(0, .) if low is 0. Products of halves are summed in fp32, in the
/// order of the taps.
template <class T>
struct PlainConv {
  using A = Activation<T>;
  using Weight = typename A::Weight;
  using Sum = typename A::Sum;
  const T* x;         ///< [N, H, W, C] if `input_candidates` is 1, else [N, H, W, P, C]
  const Weight* w;    ///< [K, R, S, C/G], or [P, K, R, S, C/G] if `filter_stride` is its size
  const float* bias;  ///< [K], or [P, K] with `filter_stride`; integers on the accumulator's grid
  const float* m;     ///< [K], or [P, K] with `filter_stride`
  const T* residual;  ///< [N, OH, OW, P, K] or nullptr: no addition
  T* code;            ///< [N, OH, OW, P, K], or nullptr: fp32 output
  float* y;           ///< [N, OH, OW, P, K], or nullptr
  Shape in, out;
  FilterShape filter;
  ConvGeometry conv;
  std::int64_t candidates;        ///< P
  std::int64_t input_candidates;  ///< 1 or P
  std::int64_t filter_stride;     ///< 0 or K * R * S * C/G
  ConvCode<T> element;

  QNUDGE_HOST_DEVICE Sum accumulate(std::int64_t n, std::int64_t oy, std::int64_t ox, std::int64_t p,
                                    std::int64_t k) const {
    const Window& g = conv.window;
    const std::int64_t c0 = k / (filter.k / conv.groups) * filter.c;
    const std::int64_t shared = input_candidates == 1 ? 0 : p;
    const Weight* tap = w + p * filter_stride + k * filter.taps();
    Sum acc = 0;
    for (std::int64_t r = 0; r < filter.r; ++r) {
      const std::int64_t iy = unspread(oy * g.stride_h + r * g.dilation_h - g.pad_top, conv.spread_h, in.h);
      for (std::int64_t s = 0; s < filter.s; ++s, tap += filter.c) {
        const std::int64_t ix = unspread(ox * g.stride_w + s * g.dilation_w - g.pad_left, conv.spread_w, in.w);
        if (iy < 0 || ix < 0) continue;
        const T* pixel = x + (((n * in.h + iy) * in.w + ix) * input_candidates + shared) * in.c + c0;
        for (std::int64_t c = 0; c < filter.c; ++c) acc += A::value(pixel[c]) * Activation<Weight>::value(tap[c]);
      }
    }
    return acc;
  }

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t k = i % filter.k, p = i / filter.k % candidates;
    const std::int64_t pixel = i / (filter.k * candidates);
    const std::int64_t ox = pixel % out.w, oy = pixel / out.w % out.h, n = pixel / (out.w * out.h);
    const std::int64_t channel = filter_stride == 0 ? k : p * filter.k + k;
    const Sum sum = accumulate(n, oy, ox, p, k);
    if (code == nullptr) {
      const float v = ConvCode<T>::scaled(sum, bias[channel], m[channel]);
      y[i] = element.low == 0 && !(v > 0.0f) ? 0.0f : v;
    } else if (residual == nullptr) {
      code[i] = element(sum, bias[channel], m[channel]);
    } else {
      code[i] = element(sum, bias[channel], m[channel], residual[i]);
    }
  }
};

}  // namespace qnudge
