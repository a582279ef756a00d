// SPDX-License-Identifier: MIT
#include "elementwise_loops.hpp"

#include <algorithm>

#include "vector_levels.hpp"

namespace qnudge {

QNUDGE_VECTOR_LEVELS void run_range(const AddCodes& shared, std::int64_t count) {
  const AddCodes op = shared;  // a local copy: stores to `code` cannot alias the functor's own fields
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

QNUDGE_VECTOR_LEVELS void run_range(const ClampCodes& shared, std::int64_t count) {
  const ClampCodes op = shared;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

void run_range(const LookupCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

namespace {

/// Calls f(input row of C codes) for every tap of the window inside the image: channels innermost, so that f
/// vectorises.
template <class F>
inline void for_each_tap_row(const std::int8_t* x, const Shape& in, const Window& window, const PoolPosition& at,
                             const F& f) {
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

}  // namespace

QNUDGE_VECTOR_LEVELS void run_pool(const AveragePoolCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += op.out.c) {
    const PoolPosition at = PoolPosition::of(i, op.out, op.window);
    const float m = op.multiplier_at(at);
    for (std::int64_t first = 0; first < op.out.c; first += kLanes) {
      const std::int64_t lanes = std::min(kLanes, op.out.c - first);
      std::int32_t sums[kLanes] = {};
      for_each_tap_row(op.x + first, op.in, op.window, at, [&](const std::int8_t* row) {
        for (std::int64_t c = 0; c < lanes; ++c) sums[c] += row[c];
      });
      for (std::int64_t c = 0; c < lanes; ++c) op.code[i + first + c] = op.pooled(sums[c], m);
    }
  }
}

QNUDGE_VECTOR_LEVELS void run_pool(const MaxPoolCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += op.out.c) {
    const PoolPosition at = PoolPosition::of(i, op.out, op.window);
    std::int8_t* const code = op.code + i;
    std::fill_n(code, op.out.c, std::int8_t{-128});
    for_each_tap_row(op.x, op.in, op.window, at, [&](const std::int8_t* row) {
      for (std::int64_t c = 0; c < op.out.c; ++c) code[c] = std::max(code[c], row[c]);
    });
  }
}

}  // namespace qnudge
