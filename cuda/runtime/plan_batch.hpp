// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "cuda/cudnn/conv_plan.hpp"
#include "cudnn_convs.hpp"

namespace qnudge::cuda {

/// One plan to be compiled.
struct PlanRequest {
  ConvTask task;
  ConvForm form;
  EngineChoice choice;
};

/// Compiles plans for the current device side by side, on all processors: one takes a second or two of one of them.
/// Must outlive what it has compiled.
class PlanBatch {
 public:
  using Clock = std::chrono::steady_clock;

  explicit PlanBatch(const Cudnn& api);
  /// In the order of the requests; what is not begun at `until` is refused for lack of time.
  std::vector<PlanOutcome> compile(std::span<const PlanRequest> requests, Clock::time_point until) const;

 private:
  const Cudnn& api_;
  int device_ = 0;
  std::vector<std::unique_ptr<CudnnHandles>> handles_;  ///< one a thread
};

}  // namespace qnudge::cuda
