// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/divisor.hpp"
#include "qnudge/model/geometry.hpp"

namespace qnudge {

/// Sixteen bytes that a device moves in one transaction. An op that has `pack(j)`, elements kPack j .. kPack j +
/// kPack - 1 at once, says in `packable(count)` whether all its addresses and extents allow it; the values are the same
/// either way.
template <class T>
struct alignas(16) Pack {
  static constexpr std::int64_t kSize = 16 / static_cast<std::int64_t>(sizeof(T));
  T v[kSize];

  QNUDGE_HOST_DEVICE static bool fits(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }
  QNUDGE_HOST_DEVICE static Pack load(const T* p) { return *reinterpret_cast<const Pack*>(p); }
  QNUDGE_HOST_DEVICE void store(T* p) const { *reinterpret_cast<Pack*>(p) = *this; }
};
using CodePack = Pack<std::int8_t>;

/// code[i] = nearest(a[i] * m_a + b[i] * m_b, low, high). m_a and m_b are powers of two, so both products are exact and
/// the sum rounds once.
template <class T>
struct AddCodes {
  using A = Activation<T>;
  static constexpr std::int64_t kPack = Pack<T>::kSize;
  const T *a, *b;
  T* code;  ///< in [low, high]; may be `a` or `b`
  float m_a, m_b;
  typename A::Bound low, high;

  QNUDGE_HOST_DEVICE T sum(T u, T v) const {
    return A::nearest(static_cast<float>(A::value(u)) * m_a + static_cast<float>(A::value(v)) * m_b, low, high);
  }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = sum(a[i], b[i]); }

  bool packable(std::int64_t count) const {
    return count % kPack == 0 && Pack<T>::fits(a) && Pack<T>::fits(b) && Pack<T>::fits(code);
  }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    const auto u = Pack<T>::load(a + j * kPack), v = Pack<T>::load(b + j * kPack);
    Pack<T> y;
    for (int e = 0; e < kPack; ++e) y.v[e] = sum(u.v[e], v.v[e]);
    y.store(code + j * kPack);
  }
};

/// code[i] = clamp(x[i], low, high).
template <class T>
struct ClampCodes {
  using A = Activation<T>;
  static constexpr std::int64_t kPack = Pack<T>::kSize;
  const T* x;
  T* code;  ///< may be `x`
  typename A::Bound low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = A::clamped(x[i], low, high); }

  bool packable(std::int64_t count) const { return count % kPack == 0 && Pack<T>::fits(x) && Pack<T>::fits(code); }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    auto y = Pack<T>::load(x + j * kPack);
    for (T& v : y.v) v = A::clamped(v, low, high);
    y.store(code + j * kPack);
  }
};

/// code[i] = table[index of x[i]].
template <class T>
struct LookupCodes {
  const T* x;
  const T* table;  ///< [256] by input code + 128, or [65536] by the bits of a half
  T* code;         ///< may be `x`

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = table[Activation<T>::table_index(x[i])]; }
};

/// The same with a table for each channel.
template <class T>
struct LookupChannelCodes {
  using A = Activation<T>;
  const T* x;      ///< [rows, C]
  const T* table;  ///< [C, 256] or [C, 65536]
  T* code;         ///< may be `x`
  std::int64_t channels;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    code[i] = table[i % channels * A::kTableSize + A::table_index(x[i])];
  }
};

/// Extents of a pooled tensor [N, OH, OW, C], by which its elements are taken apart.
struct PoolExtents {
  Divisor h, w, c;
  PoolExtents(const Shape& out) : h(out.h), w(out.w), c(out.c) {}
};

/// Element i of a pooled tensor taken apart, and the corner of its window.
struct PoolPosition {
  std::int64_t n, oy, ox, c, y0, x0;

  QNUDGE_HOST_DEVICE static PoolPosition of(std::int64_t i, const PoolExtents& out, const Window& window) {
    PoolPosition p{};
    const std::int64_t pixel = i / out.c, row = pixel / out.w;
    p.n = row / out.h;
    p.oy = row - p.n * out.h;
    p.ox = pixel - row * out.w;
    p.c = i - pixel * out.c;
    p.y0 = p.oy * window.stride_h - window.pad_top;
    p.x0 = p.ox * window.stride_w - window.pad_left;
    return p;
  }
};

/// Calls f(address of the element) for every tap of the window inside the image.
template <class T, class F>
QNUDGE_HOST_DEVICE void for_each_tap(const T* x, const Shape& in, const Window& window, const PoolPosition& at,
                                     const F& f) {
  for (std::int64_t r = 0; r < window.r; ++r) {
    const std::int64_t iy = at.y0 + r * window.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < window.s; ++s) {
      const std::int64_t ix = at.x0 + s * window.dilation_w;
      if (ix >= 0 && ix < in.w) f(x + ((at.n * in.h + iy) * in.w + ix) * in.c + at.c);
    }
  }
}

/// code[i] = nearest(float(sum of the window's taps) * m). Sums of halves are fp32, in the order of the taps.
template <class T>
struct AveragePoolCodes {
  using A = Activation<T>;
  using Sum = typename A::Sum;
  static constexpr std::int64_t kPack = Pack<T>::kSize;
  const T* x;  ///< [N, H, W, C]
  T* code;     ///< [N, OH, OW, C]
  Shape in;
  PoolExtents out;
  Window window;
  float multiplier;          ///< where the divisor is the same everywhere
  const float* multipliers;  ///< [OH, OW] where it is not; nullptr otherwise

  QNUDGE_HOST_DEVICE float multiplier_at(const PoolPosition& at) const {
    return multipliers != nullptr ? multipliers[at.oy * out.w + at.ox] : multiplier;
  }
  QNUDGE_HOST_DEVICE static T pooled(Sum sum, float m) {
    return A::nearest(static_cast<float>(sum) * m, A::kLowest, A::kHighest);
  }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const PoolPosition at = PoolPosition::of(i, out, window);
    Sum sum = 0;
    for_each_tap(x, in, window, at, [&sum](const T* v) { sum += A::value(*v); });
    code[i] = pooled(sum, multiplier_at(at));
  }

  bool packable(std::int64_t) const { return in.c % kPack == 0 && Pack<T>::fits(x) && Pack<T>::fits(code); }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    const PoolPosition at = PoolPosition::of(j * kPack, out, window);
    Sum sums[kPack] = {};
    for_each_tap(x, in, window, at, [&sums](const T* row) {
      const auto v = Pack<T>::load(row);
      for (int e = 0; e < kPack; ++e) sums[e] += A::value(v.v[e]);
    });
    const float m = multiplier_at(at);
    Pack<T> y;
    for (int e = 0; e < kPack; ++e) y.v[e] = pooled(sums[e], m);
    y.store(code + j * kPack);
  }
};

/// code[i] = largest tap of the window inside the image.
template <class T>
struct MaxPoolCodes {
  using A = Activation<T>;
  static constexpr std::int64_t kPack = Pack<T>::kSize;
  const T* x;  ///< [N, H, W, C]
  T* code;     ///< [N, OH, OW, C]
  Shape in;
  PoolExtents out;
  Window window;

  QNUDGE_HOST_DEVICE static T lowest() { return A::exactly(A::kLowest); }
  QNUDGE_HOST_DEVICE static T larger(T a, T b) { return A::value(b) > A::value(a) ? b : a; }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    typename A::Sum largest = A::kLowest;
    for_each_tap(x, in, window, PoolPosition::of(i, out, window),
                 [&largest](const T* v) { largest = A::value(*v) > largest ? A::value(*v) : largest; });
    code[i] = A::exactly(largest);
  }

  bool packable(std::int64_t) const { return in.c % kPack == 0 && Pack<T>::fits(x) && Pack<T>::fits(code); }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    Pack<T> y;
    for (T& v : y.v) v = lowest();
    for_each_tap(x, in, window, PoolPosition::of(j * kPack, out, window), [&y](const T* row) {
      const auto v = Pack<T>::load(row);
      for (int e = 0; e < kPack; ++e) y.v[e] = larger(y.v[e], v.v[e]);
    });
    y.store(code + j * kPack);
  }
};

}  // namespace qnudge
