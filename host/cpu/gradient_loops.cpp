// SPDX-License-Identifier: MIT
#include "gradient_loops.hpp"

#include "vector_levels.hpp"

namespace qnudge {

QNUDGE_VECTOR_LEVELS
void add_multiple(std::int64_t* gradient, const std::int32_t* row, std::int32_t d, std::int64_t count) {
  if (d == 1) {  // nearly every step is one
    for (std::int64_t i = 0; i < count; ++i) gradient[i] += row[i];
  } else if (d == -1) {
    for (std::int64_t i = 0; i < count; ++i) gradient[i] -= row[i];
  } else {
    for (std::int64_t i = 0; i < count; ++i) gradient[i] += std::int64_t{d} * row[i];
  }
}

}  // namespace qnudge
