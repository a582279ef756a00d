// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "qnudge/cpu/conv_kernel.hpp"

/// Oracle of the convolution kernels: written from the definition alone, in 64-bit integers, sharing no code with them.
namespace qnudge::oracle {

/// The input with zeros inserted, padded and cropped: a plain array for a plain loop.
struct PaddedInput {
  std::int64_t h = 0, w = 0;
  std::vector<std::int64_t> values;  // [n, h, w, C]
};

inline PaddedInput padded_input(const ConvProblem& p, std::span<const std::int8_t> x) {
  const Window& win = p.conv.window;
  PaddedInput out;
  out.h = (p.in.h - 1) * p.conv.spread_h + 1 + win.pad_top + win.pad_bottom;
  out.w = (p.in.w - 1) * p.conv.spread_w + 1 + win.pad_left + win.pad_right;
  out.values.assign(static_cast<std::size_t>(p.n * out.h * out.w * p.in.c), 0);
  std::size_t i = 0;
  for (std::int64_t n = 0; n < p.n; ++n) {
    for (std::int64_t y = 0; y < p.in.h; ++y) {
      for (std::int64_t z = 0; z < p.in.w; ++z) {
        const std::int64_t to_y = y * p.conv.spread_h + win.pad_top, to_x = z * p.conv.spread_w + win.pad_left;
        for (std::int64_t c = 0; c < p.in.c; ++c, ++i) {
          if (to_y < 0 || to_y >= out.h || to_x < 0 || to_x >= out.w) continue;
          out.values[static_cast<std::size_t>(((n * out.h + to_y) * out.w + to_x) * p.in.c + c)] = x[i];
        }
      }
    }
  }
  return out;
}

/// [n, OH, OW, K] exact sums.
inline std::vector<std::int64_t> accumulators(const ConvProblem& p, std::span<const std::int8_t> x,
                                              std::span<const std::int8_t> codes) {
  const PaddedInput in = padded_input(p, x);
  const Window& win = p.conv.window;
  std::vector<std::int64_t> out;
  for (std::int64_t n = 0; n < p.n; ++n) {
    for (std::int64_t oy = 0; oy < p.out.h; ++oy) {
      for (std::int64_t ox = 0; ox < p.out.w; ++ox) {
        for (std::int64_t k = 0; k < p.filter.k; ++k) {
          const std::int64_t group = k * p.conv.groups / p.filter.k;
          std::int64_t sum = 0;
          for (std::int64_t r = 0; r < p.filter.r; ++r) {
            for (std::int64_t s = 0; s < p.filter.s; ++s) {
              const std::int64_t y = oy * win.stride_h + r * win.dilation_h, z = ox * win.stride_w + s * win.dilation_w;
              for (std::int64_t c = 0; c < p.filter.c; ++c) {
                const std::int64_t from = ((n * in.h + y) * in.w + z) * p.in.c + group * p.filter.c + c;
                const std::int64_t tap = ((k * p.filter.r + r) * p.filter.s + s) * p.filter.c + c;
                sum += in.values[static_cast<std::size_t>(from)] * codes[static_cast<std::size_t>(tap)];
              }
            }
          }
          out.push_back(sum);
        }
      }
    }
  }
  return out;
}

/// One output element as the bytes that a kernel writes.
inline void append_output(const ConvProblem& p, ConvMode mode, std::int64_t acc, std::int32_t bias, float m,
                          std::vector<std::byte>& out) {
  const auto append = [&out](auto value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), bytes, bytes + sizeof value);
  };
  if (mode == ConvMode::accumulator) return append(static_cast<std::int32_t>(acc));
  const float t = static_cast<float>(acc) + static_cast<float>(bias);
  const float v = t * m;
  if (p.float_output) return append(p.low == 0 && v <= 0.0f ? 0.0f : v);
  double code = std::nearbyint(static_cast<double>(v));
  if (code < p.low) code = p.low;
  if (code > p.high) code = p.high;
  append(static_cast<std::int8_t>(code));
}

inline std::vector<std::byte> convolve(const ConvProblem& p, ConvMode mode, std::span<const std::int64_t> sums,
                                       std::span<const std::int32_t> bias, std::span<const float> multipliers) {
  std::vector<std::byte> out;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::size_t k = i % static_cast<std::size_t>(p.filter.k);
    append_output(p, mode, sums[i], bias[k], multipliers[k], out);
  }
  return out;
}

}  // namespace qnudge::oracle
