// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace qnudge {

/// How two elements become one.
enum class CombineKind : std::uint8_t { add, subtract, multiply, divide, minimum, maximum };

}  // namespace qnudge
