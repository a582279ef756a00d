// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "qnudge/backend/float_pass.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// All inputs of a Concat share one scale. A sentence for each input whose float values, over `count` samples, reach
/// fewer than four steps of it, so that hardly anything of them is left. Empty, without a pass, where the network has
/// no Concat.
std::vector<std::string> lost_in_concat(const IntNetwork& network, std::int64_t count, const SampleReader& samples,
                                        const FloatPass& float_pass);

}  // namespace qnudge
