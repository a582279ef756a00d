// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Nearest integer, half to even, for |v| <= 2^22: adding 1.5 * 2^23 leaves no fraction bits, so the addition itself
/// rounds. Needs round-to-nearest and no reassociation, nothing else.
QNUDGE_HOST_DEVICE float round_half_even(float v) {
  constexpr float kMagic = 12582912.0f;
  return (v + kMagic) - kMagic;
}

/// clamp(rint(v), low, high) for integer bounds within int8: clamping first gives the same code and keeps v in the
/// range of `round_half_even`, infinities included.
QNUDGE_HOST_DEVICE std::int8_t to_code(float v, std::int32_t low, std::int32_t high) {
  const float lo = static_cast<float>(low), hi = static_cast<float>(high);
  const float above = v > lo ? v : lo;
  return static_cast<std::int8_t>(round_half_even(above < hi ? above : hi));
}

/// t = float(acc) + float(bias): exact while |acc| + |bias| < 2^24.
QNUDGE_HOST_DEVICE float biased(std::int32_t acc, std::int32_t bias) {
  return static_cast<float>(acc) + static_cast<float>(bias);
}

/// code[i] = clamp(rint(t * m[k]), low, high) with t = float(acc[i]) + float(bias[k]), k = i mod K.
struct Requantise {
  const std::int32_t* acc;   ///< [N, H, W, K]
  const std::int32_t* bias;  ///< [K] on the accumulator's grid
  const float* m;            ///< [K] > 0
  std::int8_t* code;         ///< [N, H, W, K] in [low, high]
  std::int64_t channels;
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t k = i % channels;
    code[i] = to_code(biased(acc[i], bias[k]) * m[k], low, high);
  }
};

/// y[i] = t * m[k] in fp32, max(0, .) where `relu`: the network's output, neither rounded nor clamped.
struct Dequantise {
  const std::int32_t* acc;   ///< [N, H, W, K]
  const std::int32_t* bias;  ///< [K] on the accumulator's grid
  const float* m;            ///< [K] > 0
  float* y;                  ///< [N, H, W, K]
  std::int64_t channels;
  bool relu;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t k = i % channels;
    const float v = biased(acc[i], bias[k]) * m[k];
    y[i] = relu && !(v > 0.0f) ? 0.0f : v;
  }
};

}  // namespace qnudge
