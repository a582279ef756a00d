// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qnudge {

/// The inner loops of qnudge's own convolution, one set per instruction set, chosen at run time. Sums of int16 pair
/// products in int32 are exact for all int8 data.
struct OwnTile {
  static constexpr std::int64_t kRows = 8;       ///< output positions at a time
  static constexpr std::int64_t kChannels = 16;  ///< output channels at a time

  const char* name;
  /// acc[r][k] = sum over segments g, pairs p and i in {0, 1} of
  /// corners[r][segments[g] + 2 * p + i] * weights[((g * pairs + p) * 16 + k) * 2 + i]; acc: [kRows, kChannels].
  void (*multiply)(const std::int16_t* const* corners, std::span<const std::int64_t> segments, std::int64_t pairs,
                   const std::int16_t* weights, std::int32_t* acc);
  /// code[r * stride + k] by the rule of Requantise for r < rows, k < channels; bias and m hold kChannels values.
  void (*requantise)(const std::int32_t* acc, const std::int32_t* bias, const float* m, std::int64_t rows,
                     std::int64_t channels, std::int32_t low, std::int32_t high, std::int8_t* code,
                     std::int64_t stride);
};

/// The fastest one up to the instruction set that oneDNN uses too (so one limit holds for both).
const OwnTile& own_tile();

}  // namespace qnudge
