// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// Mean accumulator of every output channel, [K], from what TapSums gives for the layer's inputs, [G, R, S, C/G], over
/// `positions` output positions: exact for codes; of halves one double product per tap, in order, so that equal sums
/// give equal means.
std::vector<double> means_of_tap_sums(const IntNetwork& network, const Layer& layer, std::span<const std::int64_t> sums,
                                      std::int64_t positions);

}  // namespace qnudge
