// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "qnudge/quant/network.hpp"
#include "qnudge/quant/resize_tap.hpp"

namespace qnudge {

/// Taps of all rows [OH] and columns [OW] of a node: weights rounded to the nearest multiple of 1 / kResizeOne.
struct MixTaps {
  std::vector<ResizeTap> rows, columns;
};
MixTaps mix_taps(const IntNetwork& network, const IntNode& node);

}  // namespace qnudge
