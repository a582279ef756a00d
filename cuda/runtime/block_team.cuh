// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>

namespace qnudge::cuda {

/// A block of kTeamThreads threads as the team of kernels/team.hpp.
constexpr int kTeamThreads = 256;

/// With `kWithScratch` the launch's dynamic shared memory is the team's scratch memory.
template <bool kWithScratch>
class BlockTeam {
 public:
  static constexpr bool kScratch = kWithScratch;
  static constexpr int kWarps = kTeamThreads / 32;
  /// One per block. Two sets of slots that take turns: whoever writes a set again has passed the barrier that all
  /// reach after they have read it, so that each exchange needs one barrier alone.
  struct Shared {
    int first[2][kWarps];
    long long sum[2][kWarps];
  };

  __device__ explicit BlockTeam(Shared& shared) : shared_(shared) {}
  __device__ std::int64_t size() const { return kTeamThreads; }
  __device__ std::int64_t rank() const { return threadIdx.x; }
  __device__ void sync() const { __syncthreads(); }
  __device__ std::byte* scratch() const {
    extern __shared__ std::int64_t block_scratch[];
    return reinterpret_cast<std::byte*>(block_scratch);
  }

  template <class Predicate>
  __device__ std::int64_t first_where(std::int64_t begin, std::int64_t end, const Predicate& holds) const {
    for (; begin < end; begin += kTeamThreads) {
      const std::int64_t own = begin + threadIdx.x;
      const int first = least(own < end && holds(own));
      if (first < kTeamThreads) return begin + first;
    }
    return end;
  }

  __device__ std::int64_t sum(std::int64_t value) const {
    long long own = value;
    for (int offset = 16; offset > 0; offset /= 2) own += __shfl_down_sync(~0U, own, offset);
    long long* const slots = shared_.sum[turn_];
    turn_ ^= 1;
    if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = own;
    __syncthreads();
    long long all = 0;
    for (int warp = 0; warp < kWarps; ++warp) all += slots[warp];
    return all;
  }

 private:
  /// Lowest rank of a thread whose `holds` is true; kTeamThreads if there is none.
  __device__ int least(bool holds) const {
    int* const slots = shared_.first[turn_];
    turn_ ^= 1;
    const unsigned holding = __ballot_sync(~0U, holds);
    const int warp = static_cast<int>(threadIdx.x) / 32;
    if (threadIdx.x % 32 == 0)
      slots[warp] = holding == 0 ? kTeamThreads : warp * 32 + __ffs(static_cast<int>(holding)) - 1;
    __syncthreads();
    int first = kTeamThreads;
    for (int w = 0; w < kWarps; ++w) first = min(first, slots[w]);
    return first;
  }

  Shared& shared_;
  mutable int turn_ = 0;
};

}  // namespace qnudge::cuda
