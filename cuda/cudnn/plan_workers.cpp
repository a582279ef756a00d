// SPDX-License-Identifier: MIT
#include "plan_workers.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <thread>

namespace qnudge::cuda {

PlanWorkers::PlanWorkers(MakeTarget make, std::function<void()> enter, std::size_t threads)
    : make_(std::move(make)), enter_(std::move(enter)) {
  constexpr std::size_t kMost = 16;  // each takes some hundred MiB of memory while it compiles
  targets_.resize(threads > 0 ? threads : std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMost));
}

void PlanWorkers::for_each(std::size_t count, const std::function<void(std::size_t, const PlanTarget&)>& work) {
  const std::size_t workers = std::min(targets_.size(), count);
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> thrown(count), without_target(workers);
  const auto run = [&](std::size_t worker) {
    std::unique_ptr<PlanTarget>& target = targets_[worker];
    try {
      if (enter_) enter_();
      if (!target) target = make_();
    } catch (...) {
      without_target[worker] = std::current_exception();
      return;
    }
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        work(i, *target);
      } catch (...) {
        thrown[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t worker = 0; worker < workers; ++worker) threads.emplace_back(run, worker);
  }
  if (next < count) std::rethrow_exception(without_target.front());
  const auto first = std::find_if(thrown.begin(), thrown.end(), [](const auto& e) { return e != nullptr; });
  if (first != thrown.end()) std::rethrow_exception(*first);
}

}  // namespace qnudge::cuda
