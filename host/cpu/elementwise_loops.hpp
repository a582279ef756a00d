// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/kernels/elementwise.hpp"

namespace qnudge {

/// The shared functors run over a whole range, compiled for several instruction-set levels where the compiler can.
void run_range(const AddCodes<std::int8_t>& op, std::int64_t count);
void run_range(const AddCodes<Half>& op, std::int64_t count);
void run_range(const ClampCodes<std::int8_t>& op, std::int64_t count);
void run_range(const ClampCodes<Half>& op, std::int64_t count);
void run_range(const LookupCodes<std::int8_t>& op, std::int64_t count);
void run_range(const LookupCodes<Half>& op, std::int64_t count);

/// The poolings' functors in another order, all channels of a window together: the same sums, the same elements.
void run_pool(const AveragePoolCodes<std::int8_t>& op, std::int64_t count);
void run_pool(const AveragePoolCodes<Half>& op, std::int64_t count);
void run_pool(const MaxPoolCodes<std::int8_t>& op, std::int64_t count);
void run_pool(const MaxPoolCodes<Half>& op, std::int64_t count);

}  // namespace qnudge
