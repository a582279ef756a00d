// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

namespace qnudge::cuda {

/// `values` once per candidate.
template <class T>
std::vector<T> repeated(const std::vector<T>& values, std::int64_t candidates) {
  std::vector<T> all;
  for (std::int64_t p = 0; p < candidates; ++p) all.insert(all.end(), values.begin(), values.end());
  return all;
}

}  // namespace qnudge::cuda
