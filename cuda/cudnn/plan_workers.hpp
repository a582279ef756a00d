// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "plan_target.hpp"

namespace qnudge::cuda {

/// Threads that make plans side by side, each with a target of its own: a plan takes a second or two of one processor,
/// and a handle is for one thread at a time. Plans outlive the targets that they were made for.
class PlanWorkers {
 public:
  using MakeTarget = std::function<std::unique_ptr<PlanTarget>()>;

  /// As many threads as there are processors, 16 at most, or `threads` where that is not 0. `make` is called in a
  /// worker's thread when it first has something to do, `enter` at the start of every thread.
  explicit PlanWorkers(MakeTarget make, std::function<void()> enter = {}, std::size_t threads = 0);

  /// work(i, target) once for every i in [0, count), in any order and thread; waits for all. What has thrown first, by
  /// i, is thrown again when all others are done. A thread that gets no target leaves its share to the others; if none
  /// gets one, what `make` has thrown is thrown again.
  void for_each(std::size_t count, const std::function<void(std::size_t, const PlanTarget&)>& work);

 private:
  const MakeTarget make_;
  const std::function<void()> enter_;
  std::vector<std::unique_ptr<PlanTarget>> targets_;  // by worker
};

}  // namespace qnudge::cuda
