// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Sixteen codes that a device moves in one transaction. An op that has `pack(j)`, elements 16 j .. 16 j + 15 at once,
/// says in `packable(count)` whether all its addresses and extents allow it; the values are the same either way.
struct alignas(16) CodePack {
  static constexpr std::int64_t kSize = 16;
  std::int8_t v[kSize];

  QNUDGE_HOST_DEVICE static bool fits(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % kSize == 0; }
  QNUDGE_HOST_DEVICE static CodePack load(const std::int8_t* p) { return *reinterpret_cast<const CodePack*>(p); }
  QNUDGE_HOST_DEVICE void store(std::int8_t* p) const { *reinterpret_cast<CodePack*>(p) = *this; }
};

/// code[i] = clamp(rint(a[i] * m_a + b[i] * m_b), low, high). m_a and m_b are powers of two, so both products are exact
/// and the sum rounds once.
struct AddCodes {
  const std::int8_t *a, *b;  ///< codes
  std::int8_t* code;         ///< in [low, high]; may be `a` or `b`
  float m_a, m_b;
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE std::int8_t sum(std::int8_t u, std::int8_t v) const {
    return to_code(static_cast<float>(u) * m_a + static_cast<float>(v) * m_b, low, high);
  }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = sum(a[i], b[i]); }

  bool packable(std::int64_t count) const {
    return count % CodePack::kSize == 0 && CodePack::fits(a) && CodePack::fits(b) && CodePack::fits(code);
  }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    const CodePack u = CodePack::load(a + j * CodePack::kSize), v = CodePack::load(b + j * CodePack::kSize);
    CodePack y;
    for (int e = 0; e < CodePack::kSize; ++e) y.v[e] = sum(u.v[e], v.v[e]);
    y.store(code + j * CodePack::kSize);
  }
};

/// code[i] = clamp(x[i], low, high).
struct ClampCodes {
  const std::int8_t* x;
  std::int8_t* code;  ///< may be `x`
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE std::int8_t clamped(std::int32_t v) const {
    return static_cast<std::int8_t>(v < low ? low : (v > high ? high : v));
  }
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { code[i] = clamped(x[i]); }

  bool packable(std::int64_t count) const {
    return count % CodePack::kSize == 0 && CodePack::fits(x) && CodePack::fits(code);
  }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    CodePack y = CodePack::load(x + j * CodePack::kSize);
    for (std::int8_t& v : y.v) v = clamped(v);
    y.store(code + j * CodePack::kSize);
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

/// Calls f(address of the code) for every tap of the window inside the image.
template <class F>
QNUDGE_HOST_DEVICE void for_each_tap(const std::int8_t* x, const Shape& in, const Window& window,
                                     const PoolPosition& at, const F& f) {
  for (std::int64_t r = 0; r < window.r; ++r) {
    const std::int64_t iy = at.y0 + r * window.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < window.s; ++s) {
      const std::int64_t ix = at.x0 + s * window.dilation_w;
      if (ix >= 0 && ix < in.w) f(x + ((at.n * in.h + iy) * in.w + ix) * in.c + at.c);
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
    for_each_tap(x, in, window, at, [&sum](const std::int8_t* v) { sum += *v; });
    code[i] = pooled(sum, multiplier_at(at));
  }

  bool packable(std::int64_t) const { return in.c % CodePack::kSize == 0 && CodePack::fits(x) && CodePack::fits(code); }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    const PoolPosition at = PoolPosition::of(j * CodePack::kSize, out, window);
    std::int32_t sums[CodePack::kSize] = {};
    for_each_tap(x, in, window, at, [&sums](const std::int8_t* row) {
      const CodePack v = CodePack::load(row);
      for (int e = 0; e < CodePack::kSize; ++e) sums[e] += v.v[e];
    });
    const float m = multiplier_at(at);
    CodePack y;
    for (int e = 0; e < CodePack::kSize; ++e) y.v[e] = pooled(sums[e], m);
    y.store(code + j * CodePack::kSize);
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
                 [&largest](const std::int8_t* v) { largest = *v > largest ? *v : largest; });
    code[i] = static_cast<std::int8_t>(largest);
  }

  bool packable(std::int64_t) const { return in.c % CodePack::kSize == 0 && CodePack::fits(x) && CodePack::fits(code); }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    CodePack y;
    for (std::int8_t& v : y.v) v = -128;
    for_each_tap(x, in, window, PoolPosition::of(j * CodePack::kSize, out, window), [&y](const std::int8_t* row) {
      const CodePack v = CodePack::load(row);
      for (int e = 0; e < CodePack::kSize; ++e) y.v[e] = v.v[e] > y.v[e] ? v.v[e] : y.v[e];
    });
    y.store(code + j * CodePack::kSize);
  }
};

}  // namespace qnudge
