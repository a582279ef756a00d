// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/philox.hpp"

namespace qnudge {

enum class MutationKind {
  uniform,   ///< Bernoulli(p) mask, step from {-2, -1, 1, 2} with .1 .4 .4 .1 (the paper)
  residual,  ///< one step towards the weight that rounding cut off, likelier the closer it is to one half
};

/// What decides a mutated code; the same on every backend. `word` is the weight's own random word. Residual targets are
/// Q8: weight / scale * 256, saturated to int16; the distance |target - 256 * code| indexes the table of thresholds.
struct MutationRule {
  MutationKind kind = MutationKind::uniform;
  UniformThresholds uniform{};
  const std::uint32_t* residual_thresholds = nullptr;  ///< [kResidualSteps], non-decreasing
  std::int32_t low = -128, high = 127;                 ///< code range of the grid

  /// `target` is the weight's Q8 residual target (unused by `uniform`).
  QNUDGE_HOST_DEVICE std::int8_t operator()(std::int32_t code, std::int32_t target, std::uint32_t word) const {
    std::int32_t step = 0;
    if (kind == MutationKind::uniform) {
      step = word < uniform.minus1 ? (word < uniform.minus2 ? -2 : -1)
                                   : (word < uniform.plus1 ? 1 : (word < uniform.plus2 ? 2 : 0));
    } else {
      const std::int32_t residual = target - code * 256;
      const std::int32_t distance = residual < 0 ? -residual : residual;
      const std::int32_t entry = distance < kResidualSteps ? distance : kResidualSteps - 1;
      if (word < residual_thresholds[entry]) step = residual > 0 ? 1 : (residual < 0 ? -1 : 0);
    }
    const std::int32_t moved = code + step;
    return static_cast<std::int8_t>(moved < low ? low : (moved > high ? high : moved));
  }
};

}  // namespace qnudge
