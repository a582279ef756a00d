// SPDX-License-Identifier: MIT
#include "elementwise_loops.hpp"

#include <algorithm>

#include "vector_levels.hpp"

namespace qnudge {

namespace {

/// A local copy of the functor: stores to `code` cannot alias its own fields.
template <class Op>
inline __attribute__((always_inline)) void each(const Op& shared, std::int64_t count) {
  const Op op = shared;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

/// Calls f(input row of C elements) for every tap of the window inside the image: channels innermost, so that f
/// vectorises.
template <class T, class F>
inline __attribute__((always_inline)) void for_each_tap_row(const T* x, const Shape& in, const Window& window,
                                                            const PoolPosition& at, const F& f) {
  for (std::int64_t r = 0; r < window.r; ++r) {
    const std::int64_t iy = at.y0 + r * window.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < window.s; ++s) {
      const std::int64_t ix = at.x0 + s * window.dilation_w;
      if (ix >= 0 && ix < in.w) f(x + ((at.n * in.h + iy) * in.w + ix) * in.c);
    }
  }
}

constexpr std::int64_t kLanes = 64;  // channels at a time

template <class T>
inline __attribute__((always_inline)) void average(const AveragePoolCodes<T>& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += op.out.c) {
    const PoolPosition at = PoolPosition::of(i, op.out, op.window);
    const float m = op.multiplier_at(at);
    for (std::int64_t first = 0; first < op.out.c; first += kLanes) {
      const std::int64_t lanes = std::min(kLanes, op.out.c - first);
      typename Activation<T>::Sum sums[kLanes] = {};
      for_each_tap_row(op.x + first, op.in, op.window, at, [&](const T* row) {
        for (std::int64_t c = 0; c < lanes; ++c) sums[c] += Activation<T>::value(row[c]);
      });
      for (std::int64_t c = 0; c < lanes; ++c) op.code[i + first + c] = op.pooled(sums[c], m);
    }
  }
}

template <class T>
inline __attribute__((always_inline)) void maximum(const MaxPoolCodes<T>& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += op.out.c) {
    const PoolPosition at = PoolPosition::of(i, op.out, op.window);
    T* const code = op.code + i;
    std::fill_n(code, std::int64_t{op.out.c}, op.lowest());
    for_each_tap_row(op.x, op.in, op.window, at, [&](const T* row) {
      for (std::int64_t c = 0; c < op.out.c; ++c) code[c] = op.larger(code[c], row[c]);
    });
  }
}

}  // namespace

QNUDGE_VECTOR_LEVELS void run_range(const AddCodes<std::int8_t>& op, std::int64_t count) {
  each(op, count);
}
QNUDGE_VECTOR_LEVELS void run_range(const AddCodes<Half>& op, std::int64_t count) {
  each(op, count);
}
QNUDGE_VECTOR_LEVELS void run_range(const ClampCodes<std::int8_t>& op, std::int64_t count) {
  each(op, count);
}
QNUDGE_VECTOR_LEVELS void run_range(const ClampCodes<Half>& op, std::int64_t count) {
  each(op, count);
}
void run_range(const LookupCodes<std::int8_t>& op, std::int64_t count) {
  each(op, count);
}
void run_range(const LookupCodes<Half>& op, std::int64_t count) {
  each(op, count);
}

QNUDGE_VECTOR_LEVELS void run_pool(const AveragePoolCodes<std::int8_t>& op, std::int64_t count) {
  average(op, count);
}
QNUDGE_VECTOR_LEVELS void run_pool(const AveragePoolCodes<Half>& op, std::int64_t count) {
  average(op, count);
}
QNUDGE_VECTOR_LEVELS void run_pool(const MaxPoolCodes<std::int8_t>& op, std::int64_t count) {
  maximum(op, count);
}
QNUDGE_VECTOR_LEVELS void run_pool(const MaxPoolCodes<Half>& op, std::int64_t count) {
  maximum(op, count);
}

}  // namespace qnudge
