// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// A sentence for everything about the calibration samples that leaves scales and biases without a base: samples that
/// have one value per channel (of series, where sensors may rest, only if all are so), samples that are all the same,
/// and layers that are constant because of them.
std::vector<std::string> calibration_notes(const IntNetwork& network, const ImageSet& calibration, bool series);

}  // namespace qnudge
