// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include "qnudge/kernels/requantise.hpp"
#include "qnudge/kernels/team.hpp"

namespace qnudge {

/// How far a network's output is from the sample that went in, in integers. Both are put on one grid, 2^kErrorBits
/// steps to a step of the network's input codes, and their differences are squared and summed. The sample is taken as
/// it was before it became codes, so that what lies beyond the range of the codes counts.
constexpr int kErrorBits = 4;
constexpr std::int32_t kErrorLimit = 32767;  ///< values saturate here, 2048 input steps away from zero
/// An error is below this per sample, so that the sum over 2^19 samples fits into 62 bits.
constexpr std::int64_t kErrorCap = (std::int64_t{1} << 43) - 1;

/// Steps of the grid per unit for a network whose input codes have the scale 2^exponent: a power of two.
inline float error_steps_per_unit(int exponent) {
  return std::ldexp(1.0f, kErrorBits - exponent);
}

/// Mean over `values` differences of errors that sum to `error`, in units of the samples.
inline double mean_squared_error(std::int64_t error, std::int64_t values, int exponent) {
  return std::ldexp(static_cast<double>(error) / static_cast<double>(values), 2 * (exponent - kErrorBits));
}

/// Nearest point of the grid, half to even, saturated; NaN is as far as can be.
QNUDGE_HOST_DEVICE std::int32_t on_error_grid(float value, float steps_per_unit) {
  const float limit = static_cast<float>(kErrorLimit);
  const float steps = value * steps_per_unit;
  const float below = steps < limit ? steps : limit;
  return static_cast<std::int32_t>(round_half_even(below > -limit ? below : -limit));
}

/// Sum of squared differences over `count` values, in [0, kErrorCap]; `outputs` is anything that gives a float for an
/// index.
template <class Outputs, class Team = SerialTeam>
QNUDGE_HOST_DEVICE std::int64_t reconstruction_error(const Outputs& outputs, std::int64_t count,
                                                     const std::int16_t* original, float steps_per_unit,
                                                     const Team& team = {}) {
  std::int64_t sum = 0;  // a difference is below 2^16, so 2^31 squares fit
  for (std::int64_t i = team.rank(); i < count; i += team.size()) {
    const std::int64_t difference = on_error_grid(outputs[i], steps_per_unit) - original[i];
    sum += difference * difference;
  }
  sum = team.sum(sum);
  return sum < kErrorCap ? sum : kErrorCap;
}

}  // namespace qnudge
