// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/divisor.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/unspread.hpp"
#include "qnudge/model/element_map.hpp"
#include "qnudge/model/geometry.hpp"

/// Element rules for tensors [N, H, W, P, C] that hold P candidates between width and channels. A tensor that all
/// candidates share is [N, H, W, C]. Pooling, clamping and tables need no rule of their own: P * C are their channels.
namespace qnudge {

/// AddCodes with one operand that all candidates share: code[i] = nearest(a[i] * m_a + b[pixel, c] * m_b, low, high).
template <class T>
struct AddSharedCodes {
  using A = Activation<T>;
  static constexpr std::int64_t kPack = Pack<T>::kSize;
  const T* a;      ///< [pixels, P, C]
  const T* b;      ///< [pixels, C]
  T* code;         ///< [pixels, P, C] in [low, high]; may be `a`
  float m_a, m_b;  ///< powers of two
  std::int64_t candidates;
  Divisor channels;
  typename A::Bound low, high;
  Divisor pixel = candidates * channels;

  QNUDGE_HOST_DEVICE T sum(T u, T v) const {
    return A::nearest(static_cast<float>(A::value(u)) * m_a + static_cast<float>(A::value(v)) * m_b, low, high);
  }
  QNUDGE_HOST_DEVICE const T* shared(std::int64_t i) const { return b + i / pixel * channels + i % channels; }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = sum(a[i], *shared(i)); }

  bool packable(std::int64_t) const {
    return channels % kPack == 0 && Pack<T>::fits(a) && Pack<T>::fits(b) && Pack<T>::fits(code);
  }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    const std::int64_t i = j * kPack;
    const auto u = Pack<T>::load(a + i), v = Pack<T>::load(shared(i));
    Pack<T> y;
    for (int e = 0; e < kPack; ++e) y.v[e] = sum(u.v[e], v.v[e]);
    y.store(code + i);
  }
};

/// One input of a concatenation: y[pixel, p, first + c] = x[pixel, p or shared, c]. A flattened input is a view: its
/// `channels` are `channels / inner` pixels of `inner` channels each, which candidates stand between.
template <class T>
struct ConcatCodes {
  const T* x;                    ///< [pixels, channels / inner, P, inner], without P if `shared`
  T* y;                          ///< [pixels, P, total]
  Divisor candidates, channels;  ///< P, C
  Divisor inner;                 ///< C, or channels of a flattened input's pixels
  std::int64_t first, total;
  bool shared;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t c = i % channels, row = i / channels;  // row = pixel * P + p
    const std::int64_t pixel = row / candidates, p = row % candidates;
    const std::int64_t from = pixel * (channels / inner) + c / inner;
    y[row * total + first + c] = x[(shared ? from : from * candidates + p) * inner + c % inner];
  }
};

/// One box of a move, for each image and candidate: y[to + sum k_a to_a] = x[from + sum k_a from_a] over all k_a below
/// extent_a, counted in elements of [H, W, C] without candidates.
template <class T>
struct MoveCodes {
  struct Axis {
    Divisor extent = 1;
    std::int64_t from = 0, to = 0;
  };
  const T* x;                 ///< [N, pixels, P, inner], without P if `shared`
  T* y;                       ///< [N, pixels, P, channels]
  Divisor candidates, count;  ///< P, elements of the box
  Divisor inner, channels;
  std::int64_t in_size, out_size;  ///< elements of an image
  std::int64_t from, to;
  Axis axes[ElementMap::kMostAxes];  ///< innermost first
  int rank;
  bool shared;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t row = i / count, n = row / candidates, p = row % candidates;
    std::int64_t rest = i % count, source = n * in_size + from, target = n * out_size + to;
    for (int a = 0; a < rank; ++a) {
      const std::int64_t k = rest % axes[a].extent;
      rest = rest / axes[a].extent;
      source += k * axes[a].from;
      target += k * axes[a].to;
    }
    const std::int64_t pixel = shared ? source / inner : source / inner * candidates + p;
    y[(target / channels * candidates + p) * channels + target % channels] = x[pixel * inner + source % inner];
  }
};

/// Sums of a layer's inputs under each filter tap: sum[j] += x at tap j over the output positions of one image;
/// j = ((g * R + r) * S + s) * C/G + c. Times the codes of a filter, and summed over its taps, this is the sum of its
/// accumulators: exact for codes; halves sum in units of 1 / kFixedOne.
template <class T>
struct TapSums {
  const T* x;         ///< [N, H, W, C]
  std::int64_t* sum;  ///< [G, R, S, C/G]
  Shape in, out;
  FilterShape filter;
  ConvGeometry conv;

  QNUDGE_HOST_DEVICE std::int64_t taps() const { return conv.groups * filter.taps(); }
  /// The sum of image i / taps() at tap i % taps().
  QNUDGE_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    const std::int64_t n = i / taps(), j = i % taps();
    const std::int64_t c = j % filter.c, s = j / filter.c % filter.s, r = j / (filter.c * filter.s) % filter.r;
    const std::int64_t channel = j / filter.taps() * filter.c + c;
    const Window& g = conv.window;
    std::int64_t total = 0;
    for (std::int64_t oy = 0; oy < out.h; ++oy) {
      const std::int64_t iy = unspread(oy * g.stride_h + r * g.dilation_h - g.pad_top, conv.spread_h, in.h);
      if (iy < 0) continue;
      for (std::int64_t ox = 0; ox < out.w; ++ox) {
        const std::int64_t ix = unspread(ox * g.stride_w + s * g.dilation_w - g.pad_left, conv.spread_w, in.w);
        if (ix >= 0) total += Activation<T>::fixed(x[((n * in.h + iy) * in.w + ix) * in.c + channel]);
      }
    }
    return total;
  }
};

}  // namespace qnudge
