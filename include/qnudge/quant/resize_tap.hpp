// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace qnudge {

constexpr int kResizeBits = 11;  ///< of a weight: the sum of four codes times two weights each fits 32 bits
constexpr std::int32_t kResizeOne = 1 << kResizeBits;

/// The two input positions that one output position of a linear interpolation lies between, and their weights in units
/// of 1 / kResizeOne, which add up to one.
struct ResizeTap {
  std::int32_t first, second;
  std::int32_t weight_first, weight_second;
};

}  // namespace qnudge
