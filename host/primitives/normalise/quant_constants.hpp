// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// What NormaliseMoments needs of a node whose exponents are set.
struct MomentConstants {
  double epsilon = 0;         ///< n^2 * epsilon / s_x^2
  std::vector<double> gain;   ///< [C]: by the output's scale
  std::vector<double> shift;  ///< [C]
};
MomentConstants moment_constants(const IntNetwork& network, const IntNode& node);

}  // namespace qnudge
