// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace qnudge {

/// Throws Error(kind device) if so many more bytes cannot be mapped now (ulimit -v, strict overcommit). For the sake of
/// libraries that end the program instead of saying so; `what` is to be done with them, e.g. "starting 8 threads".
void require_address_space(std::size_t bytes, std::string_view what);

}  // namespace qnudge
