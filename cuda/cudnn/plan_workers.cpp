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
  std::atomic<std::size_t> next{0};
  std::vector<std::exception_ptr> thrown(count);
  const auto run = [&](std::unique_ptr<PlanTarget>& target) {
    for (std::size_t i = next++; i < count; i = next++) {
      try {
        if (!target) target = make_();
        work(i, *target);
      } catch (...) {
        thrown[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t worker = 0; worker < std::min(targets_.size(), count); ++worker) {
      threads.emplace_back([&, worker] {
        if (enter_) enter_();
        run(targets_[worker]);
      });
    }
  }
  const auto first = std::find_if(thrown.begin(), thrown.end(), [](const auto& e) { return e != nullptr; });
  if (first != thrown.end()) std::rethrow_exception(*first);
}

}  // namespace qnudge::cuda
