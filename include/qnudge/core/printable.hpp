// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace qnudge {

/// Text from outside as it may stand on a terminal and in files: valid UTF-8 without what moves, hides or reorders
/// other text. Each byte that is no UTF-8, and each control character (C0, DEL, C1), line or paragraph separator, mark
/// or override of direction, and invisible joiner or byte order mark becomes '?'.
std::string cleaned(std::string_view text);

/// The same, cut after 512 bytes: a name.
std::string printable(std::string_view text);

/// The first `columns` characters of valid UTF-8, one column each.
std::string_view first_columns(std::string_view text, std::size_t columns);

}  // namespace qnudge
