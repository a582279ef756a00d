// SPDX-License-Identifier: MIT
#include "plan_batch.hpp"

#include "check.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

PlanWorkers device_plan_workers() {
  int device = 0;
  QNUDGE_CUDA_CHECK(cudaGetDevice(&device));
  return PlanWorkers([] { return std::make_unique<PlanTarget>(cudnn()); }, [device] { cudaSetDevice(device); });
}

std::vector<PlanOutcome> compile_plans(PlanWorkers& workers, std::span<const PlanRequest> requests,
                                       std::chrono::steady_clock::time_point until) {
  std::vector<PlanOutcome> outcomes(requests.size());
  workers.for_each(requests.size(), [&](std::size_t i, const PlanTarget& target) {
    outcomes[i].reason = "no time";
    if (std::chrono::steady_clock::now() >= until) return;
    try {
      outcomes[i] = plan_choice(cudnn(), target, requests[i].task, requests[i].form, requests[i].choice);
    } catch (const Error& e) {
      outcomes[i].reason = e.what();
    }
  });
  return outcomes;
}

}  // namespace qnudge::cuda
