// SPDX-License-Identifier: MIT
#pragma once

namespace qnudge {

/// Range of minus the exponent of a softmax's codes, see kernels/normalise.hpp.
constexpr int kSoftmaxLeastBits = -10, kSoftmaxMostBits = 20;

}  // namespace qnudge
