// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "cuda/cudnn/conv_plan.hpp"
#include "cuda/cudnn/plan_workers.hpp"

namespace qnudge::cuda {

/// One plan to be compiled.
struct PlanRequest {
  ConvTask task;
  ConvForm form;
  EngineChoice choice;
};

/// Workers for the current device.
PlanWorkers device_plan_workers();

/// In the order of the requests; what fails, or is not begun at `until`, is refused with a reason.
std::vector<PlanOutcome> compile_plans(PlanWorkers& workers, std::span<const PlanRequest> requests,
                                       std::chrono::steady_clock::time_point until);

}  // namespace qnudge::cuda
