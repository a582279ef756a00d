// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "device_conv.hpp"

namespace qnudge::cuda {

/// Convolutions by cuDNN where it takes them, by the plain kernel where it does not; the log says which and why. Throws
/// Error(kind device) if cuDNN cannot be used.
std::unique_ptr<ConvPlanner> make_cudnn_planner(int device, int streams);

/// "9.19.0", or why there is none.
std::string cudnn_description(bool& usable);

}  // namespace qnudge::cuda
