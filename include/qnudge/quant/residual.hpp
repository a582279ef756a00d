// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// What rounding cut off, for the mutation `residual`: weight / scale * 256 (Q8 steps), half to even, saturated to
/// int16; [K, R, S, C].
std::vector<std::int16_t> residual_targets(const Layer& layer, const LayerParams& params);

/// Thresholds of the mutation `residual`, [kResidualSteps], non-decreasing: a weight whose target lies d steps from its
/// code mutates where its random word is below threshold[256 d], with probability proportional to
/// exp(-(1 - 2 d) / 0.25), at most 1, and such that the mean over all weights of channels that are not frozen is `rate`
/// (as near as the caps allow). Weights at distance 0 have nowhere to go: threshold[0] is 0. Integers and IEEE basic
/// operations only: the same everywhere. `codes` and `targets` are [K, taps], `frozen` is [K]. Throws Error(kind usage)
/// for a rate outside [0, 1].
std::vector<std::uint32_t> residual_thresholds(std::span<const std::int8_t> codes,
                                               std::span<const std::int16_t> targets, double rate,
                                               std::span<const std::uint8_t> frozen);

}  // namespace qnudge
