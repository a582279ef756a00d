// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace qnudge {

/// How two elements become one.
enum class CombineKind : std::uint8_t { add, subtract, multiply, divide, minimum, maximum };

constexpr std::string_view to_string(CombineKind kind) {
  constexpr std::string_view names[] = {"add", "subtract", "multiply", "divide", "minimum", "maximum"};
  return names[static_cast<std::size_t>(kind)];
}

/// ONNX's operator.
constexpr const char* onnx_operator(CombineKind kind) {
  constexpr const char* names[] = {"Add", "Sub", "Mul", "Div", "Min", "Max"};
  return names[static_cast<std::size_t>(kind)];
}

}  // namespace qnudge
