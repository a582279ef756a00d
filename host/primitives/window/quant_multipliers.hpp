// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// Multipliers [OH, OW] of the average pooling `node` if its divisor depends on the position; empty if it does not.
std::vector<float> pool_multipliers(const IntNetwork& network, const IntNode& node);

}  // namespace qnudge
