// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/kernels/elementwise.hpp"

namespace qnudge {

/// The shared functors run over a whole range, compiled for several instruction-set levels where the compiler can.
void run_range(const AddCodes& op, std::int64_t count);
void run_range(const ClampCodes& op, std::int64_t count);
void run_range(const LookupCodes& op, std::int64_t count);

/// The poolings' functors in another order, all channels of a window together: the same sums, the same codes.
void run_pool(const AveragePoolCodes& op, std::int64_t count);
void run_pool(const MaxPoolCodes& op, std::int64_t count);

}  // namespace qnudge
