// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Random draws are addressed, never consumed: Philox4x32-10 with key = seed and
/// counter = (index / 4, candidate, generation, layer * 256 + purpose) gives four 32-bit words, one per index.
/// Everything that decides a draw stands in this header: purposes, counter layout and thresholds.
enum class Purpose : std::uint32_t {
  mutate = 0,           ///< index: weight, linear in unpadded KRSC
  sample_split = 1,     ///< index: position in a class, of series in a part; candidate: class, part
  sample_rows = 2,      ///< index: row within an image; candidate: image
  perturb = 3,          ///< index: weight, linear in unpadded KRSC
  row_order = 4,        ///< index 0: offset, 1: stride
  class_order = 5,      ///< index: class
  resample_blocks = 6,  ///< index: drawn block; candidate: resample
  mate = 7,             ///< index 0: whether offspring are crossed, 1: with which elite
  crossover = 8,        ///< index: weight, linear in unpadded KRSC
};

struct U32x4 {
  std::uint32_t v[4];
};

struct DrawAddress {
  std::uint32_t candidate = 0, generation = 0, layer = 0;
  Purpose purpose = Purpose::mutate;
};

/// The block of four words that holds index 4 * `block` .. 4 * `block` + 3. `Philox` is a callable
/// U32x4(counter[4], key[2]): cuRAND's on the device, Random123's on the host; tests prove them equal.
template <class Philox>
QNUDGE_HOST_DEVICE U32x4 draw_block(const Philox& philox, std::uint64_t seed, const DrawAddress& at,
                                    std::uint32_t block) {
  const U32x4 counter{{block, at.candidate, at.generation, at.layer * 256u + static_cast<std::uint32_t>(at.purpose)}};
  return philox(counter, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
}

/// Thresholds of the uniform mutation, one word u per weight: u < p * 2^32 mutates, and the place of u below that
/// threshold picks the step, {-2, -1, +1, +2} with probability .1 .4 .4 .1.
struct UniformThresholds {
  std::uint32_t minus2, minus1, plus1, plus2;  ///< cumulative: u < minus2 -> -2, u < minus1 -> -1, ...
};

/// Thresholds for mutation probability `p` in [0, 1]; exact to 2^-32, p = 1 saturates to 1 - 2^-32.
inline UniformThresholds uniform_thresholds(double p) {
  const auto cumulative = [p](double fraction) {
    const double t = p * fraction * 4294967296.0;
    return t >= 4294967295.0 ? 4294967295u : static_cast<std::uint32_t>(t);
  };
  return {cumulative(0.1), cumulative(0.5), cumulative(0.9), cumulative(1.0)};
}

/// Thresholds of the residual mutation: one per distance between the rounded-off weight and its code, in 1/256 of a
/// step; distances beyond the table use its last entry.
constexpr std::int32_t kResidualSteps = 385;  // distances 0 .. 384/256 = 1.5 steps

}  // namespace qnudge
