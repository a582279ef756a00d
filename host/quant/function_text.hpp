// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "qnudge/model/scalar_function.hpp"

namespace qnudge {

/// A function and its parameters as text that reads back as exactly the same: "function: constant 0x1p-1; add 0 1".
std::string function_text(const ScalarFunction& function, const ChannelValues& parameters);

bool is_function_text(std::string_view text);
/// Throws Error(kind input) where `text` is none.
void parse_function(const std::string& text, ScalarFunction& function, ChannelValues& parameters);

}  // namespace qnudge
