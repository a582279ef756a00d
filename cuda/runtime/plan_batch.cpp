// SPDX-License-Identifier: MIT
#include "plan_batch.hpp"

#include <algorithm>
#include <atomic>
#include <thread>

#include "check.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

PlanBatch::PlanBatch(const Cudnn& api) : api_(api) {
  QNUDGE_CUDA_CHECK(cudaGetDevice(&device_));
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  for (unsigned t = 0; t < threads; ++t) handles_.push_back(std::make_unique<CudnnHandles>(api_, 1));
}

std::vector<PlanOutcome> PlanBatch::compile(std::span<const PlanRequest> requests, Clock::time_point until) const {
  std::vector<PlanOutcome> outcomes(requests.size());
  std::atomic<std::size_t> next{0};
  const auto outcome_of = [&](const PlanTarget& target, const PlanRequest& request) {
    PlanOutcome outcome;
    try {
      if (Clock::now() < until) return plan_choice(api_, target, request.task, request.form, request.choice);
      outcome.reason = "no time";
    } catch (const Error& e) {
      outcome.reason = e.what();
    }
    return outcome;
  };
  std::vector<std::jthread> workers;
  for (const auto& handles : handles_) {
    workers.emplace_back([&, target = PlanTarget(handles->first())] {
      cudaSetDevice(device_);
      for (std::size_t i = next++; i < requests.size(); i = next++) outcomes[i] = outcome_of(target, requests[i]);
    });
  }
  workers.clear();  // waits
  return outcomes;
}

}  // namespace qnudge::cuda
