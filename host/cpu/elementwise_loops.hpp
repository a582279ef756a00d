// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/kernels/elementwise.hpp"

namespace qnudge {

/// The shared functors run over a whole range, compiled for several instruction-set levels where the compiler can.
void run_range(const AddCodes& op, std::int64_t count);
void run_range(const ClampCodes& op, std::int64_t count);
void run_range(const LookupCodes& op, std::int64_t count);
void run_range(const AveragePoolCodes& op, std::int64_t count);
void run_range(const MaxPoolCodes& op, std::int64_t count);

}  // namespace qnudge
