// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <barrier>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "qnudge/kernels/team.hpp"

namespace qnudge::test {

/// Threads of the host as a team of kernels/team.hpp. They meet at a barrier: what lacks a `sync` comes out wrong,
/// sooner or later.
template <bool kWithScratch>
class ThreadTeam {
 public:
  static constexpr bool kScratch = kWithScratch;
  struct Shared {
    Shared(int size, std::size_t bytes)
        : barrier(size), values(static_cast<std::size_t>(size)), scratch((bytes + 7) / 8, 0x5a5a5a5a5a5a5a5a) {}
    std::barrier<> barrier;
    std::vector<std::int64_t> values, scratch;
  };
  ThreadTeam(Shared& shared, int rank) : shared_(shared), rank_(rank) {}

  std::int64_t size() const { return static_cast<std::int64_t>(shared_.values.size()); }
  std::int64_t rank() const { return rank_; }
  void sync() const { shared_.barrier.arrive_and_wait(); }
  template <class Predicate>
  std::int64_t first_where(std::int64_t begin, std::int64_t end, const Predicate& holds) const {
    std::int64_t own = begin + rank_;
    while (own < end && !holds(own)) own += size();
    const std::vector<std::int64_t> all = exchange(std::min(own, end));
    return std::max(begin, *std::min_element(all.begin(), all.end()));
  }
  std::int64_t sum(std::int64_t value) const {
    const std::vector<std::int64_t> all = exchange(value);
    return std::accumulate(all.begin(), all.end(), std::int64_t{0});
  }
  std::int64_t largest(std::int64_t value) const {
    const std::vector<std::int64_t> all = exchange(value);
    return *std::max_element(all.begin(), all.end());
  }
  std::byte* scratch() const { return reinterpret_cast<std::byte*>(shared_.scratch.data()); }

 private:
  std::vector<std::int64_t> exchange(std::int64_t value) const {
    shared_.values[static_cast<std::size_t>(rank_)] = value;
    sync();
    std::vector<std::int64_t> all = shared_.values;
    sync();
    return all;
  }
  Shared& shared_;
  const int rank_;
};

/// f(team) by every member of a team of `size` threads, with so many bytes of scratch memory.
template <bool kScratch, class F>
void by_threads(int size, std::size_t scratch_bytes, const F& f) {
  typename ThreadTeam<kScratch>::Shared shared(size, scratch_bytes);
  std::vector<std::jthread> members;
  for (int rank = 0; rank < size; ++rank) {
    members.emplace_back([&, rank] { f(ThreadTeam<kScratch>(shared, rank)); });
  }
}

}  // namespace qnudge::test
