// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Targets of channel-wise fits are at most this in magnitude: a low byte in [-128, 127] then leaves a high byte in the
/// same range.
constexpr std::int32_t kTargetLimit = 127 * 256 + 127;

/// Losses in integers, without a library exp or log, so that every machine gets the same bits.
/// Formats: logits and losses are Q16 (value = integer / 65536, in nats), probabilities Q30.
constexpr std::int64_t kQ16One = 1 << 16;
constexpr std::int64_t kQ30One = 1 << 30;
constexpr std::int64_t kLn2Q30 = 744261118;       // ln 2
constexpr std::int64_t kLog2EQ30 = 1549082005;    // 1 / ln 2
constexpr std::int32_t kLogitLimitQ16 = 1 << 30;  // |logit| < 16384

/// A float logit as Q16, half to even, saturated at +-16384; NaN becomes the lower limit.
QNUDGE_HOST_DEVICE std::int32_t logit_to_q16(float logit) {
  const float scaled = logit * 65536.0f;
  if (!(scaled > -1073741824.0f)) return -kLogitLimitQ16;
  if (scaled >= 1073741824.0f) return kLogitLimitQ16;
  // From 2^23 on a float is an integer already; below, adding 2^23 away from zero leaves no bit for a fraction.
  if (scaled >= 8388608.0f || scaled <= -8388608.0f) return static_cast<std::int32_t>(scaled);
  const float magic = scaled < 0.0f ? -8388608.0f : 8388608.0f;
  return static_cast<std::int32_t>((scaled + magic) - magic);
}

/// e^d as Q30 for a Q16 difference d <= 0; absolute error below 1e-8, 0 below about -21.
QNUDGE_HOST_DEVICE std::int64_t exp_q30(std::int64_t d_q16) {
  if (d_q16 < -(32LL << 16)) return 0;
  const std::int64_t t = (d_q16 * kLog2EQ30) >> 16;  // Q30: d / ln 2 <= 0
  const std::int64_t whole = -(t >> 30);             // 2^-whole * 2^fraction, fraction in [0, 1)
  const std::int64_t fraction = t & (kQ30One - 1);
  const std::int64_t x = ((fraction - kQ30One / 2) * kLn2Q30) >> 30;  // |x| <= ln(2)/2: Taylor converges fast
  std::int64_t sum = kQ30One;
  for (std::int64_t i = 9; i >= 1; --i) sum = kQ30One + ((x * sum) >> 30) / i;
  constexpr std::int64_t kSqrt2Q30 = 1518500250;
  return ((sum * kSqrt2Q30) >> 30) >> whole;
}

/// ln(v / 2^30) as Q16 for v > 0; absolute error below 2 / 65536.
QNUDGE_HOST_DEVICE std::int64_t log_q16(std::uint64_t v) {
  int exponent = 0;  // v = mantissa * 2^exponent with a Q30 mantissa in [1, 2)
  while (v >= 2 * static_cast<std::uint64_t>(kQ30One)) {
    v >>= 1;
    ++exponent;
  }
  while (v < static_cast<std::uint64_t>(kQ30One)) {
    v <<= 1;
    --exponent;
  }
  const auto mantissa = static_cast<std::int64_t>(v);
  const std::int64_t s = ((mantissa - kQ30One) << 30) / (mantissa + kQ30One);  // atanh series, s in [0, 1/3)
  const std::int64_t s2 = (s * s) >> 30;
  std::int64_t series = 0;
  for (std::int64_t i = 17; i >= 1; i -= 2) series = ((series * s2) >> 30) + kQ30One / i;
  const std::int64_t ln = 2 * ((s * series) >> 30) + exponent * kLn2Q30;
  return (ln + (1 << 13)) >> 14;
}

/// ln sum exp of `n` Q16 logits, Q16.
QNUDGE_HOST_DEVICE std::int64_t log_sum_exp_q16(const std::int32_t* logits, std::int64_t n) {
  std::int32_t largest = logits[0];
  for (std::int64_t k = 1; k < n; ++k) largest = logits[k] > largest ? logits[k] : largest;
  std::uint64_t sum = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    sum += static_cast<std::uint64_t>(exp_q30(static_cast<std::int64_t>(logits[k]) - largest));
  }
  return largest + log_q16(sum);
}

}  // namespace qnudge
