// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

namespace qnudge {

/// True where `correct` right answers of `n` among `classes` are no more than guessing gives: not above the upper 95 %
/// bound of a binomial count with probability 1 / classes (normal approximation). False for an empty set and for fewer
/// than two classes.
bool at_chance(std::int64_t correct, std::int64_t n, std::int64_t classes);

/// The sentence for a float model of which that is true; `set` as in "test images".
std::string chance_text(std::int64_t correct, std::int64_t n, std::int64_t classes, const char* set);

}  // namespace qnudge
