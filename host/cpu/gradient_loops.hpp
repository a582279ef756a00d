// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace qnudge {

/// gradient[i] += d * row[i], i < count: exact, compiled for several instruction-set levels where the compiler can.
void add_multiple(std::int64_t* gradient, const std::int32_t* row, std::int32_t d, std::int64_t count);

}  // namespace qnudge
