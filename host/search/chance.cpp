// SPDX-License-Identifier: MIT
#include "qnudge/search/chance.hpp"

#include <fmt/format.h>

#include <cmath>

namespace qnudge {

bool at_chance(std::int64_t correct, std::int64_t n, std::int64_t classes) {
  if (n == 0 || classes < 2) return false;
  constexpr double kOneSided95 = 1.6448536269514722;
  const double share = 1.0 / static_cast<double>(classes), mean = share * static_cast<double>(n);
  return static_cast<double>(correct) <= mean + kOneSided95 * std::sqrt(mean * (1 - share));
}

std::string chance_text(std::int64_t correct, std::int64_t n, std::int64_t classes, const char* set) {
  return fmt::format(
      "the float model itself is right on {} of {} {} ({:.2f} %), in {} classes no more than guessing gives: the "
      "labels, "
      "the order of the classes or the preprocessing (data.mean, data.std, data.resize, data.crop) do not fit the "
      "model",
      correct, n, set, 100 * static_cast<double>(correct) / static_cast<double>(n), classes);
}

}  // namespace qnudge
