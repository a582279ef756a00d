// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/half.hpp"
#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// 1.5 * 2^23: adding it to |v| <= 2^22 leaves no fraction bits, so that the addition itself rounds, half to even.
/// Needs round-to-nearest and no reassociation, nothing else.
constexpr float kRoundingMagic = 12582912.0f;

/// Nearest integer, half to even, for |v| <= 2^22.
QNUDGE_HOST_DEVICE float round_half_even(float v) {
  return (v + kRoundingMagic) - kRoundingMagic;
}

/// clamp(v, low, high); NaN becomes `low`.
QNUDGE_HOST_DEVICE float clamped(float v, float low, float high) {
#if defined(__CUDA_ARCH__)
  return fminf(fmaxf(v, low), high);  // an instruction each
#else
  const float above = v > low ? v : low;
  return above < high ? above : high;
#endif
}

/// clamp(rint(v), low, high) for integer bounds within int8: clamping first gives the same code and keeps v in the
/// range of `round_half_even`, infinities included. The low byte of what the addition leaves is the code already, which
/// spares a device the slow conversion.
QNUDGE_HOST_DEVICE std::int8_t to_code(float v, std::int32_t low, std::int32_t high) {
  return static_cast<std::int8_t>(
      bits_of(clamped(v, static_cast<float>(low), static_cast<float>(high)) + kRoundingMagic));
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
