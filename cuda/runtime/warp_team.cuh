// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace qnudge::cuda {

/// A warp as the team of kernels/team.hpp; all of its threads are there.
class WarpTeam {
 public:
  static constexpr int kSize = 32;

  __device__ std::int64_t size() const { return kSize; }
  __device__ std::int64_t rank() const { return static_cast<int>(threadIdx.x) % kSize; }

  __device__ std::int64_t sum(std::int64_t value) const {
    for (int offset = kSize / 2; offset > 0; offset /= 2) value += other(value, offset);
    return value;
  }
  __device__ std::int64_t largest(std::int64_t value) const {
    for (int offset = kSize / 2; offset > 0; offset /= 2) {
      const std::int64_t theirs = other(value, offset);
      value = theirs > value ? theirs : value;
    }
    return value;
  }

 private:
  __device__ static std::int64_t other(std::int64_t value, int offset) {
    return __shfl_xor_sync(~0U, static_cast<long long>(value), offset);
  }
};

}  // namespace qnudge::cuda
