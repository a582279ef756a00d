// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "cuda/cudnn/library.hpp"
#include "device_conv.hpp"
#include "qnudge/cuda/devices.hpp"

namespace qnudge::cuda {

/// The device that plans are made for, which must be the current one.
struct PlannerDevice {
  std::string identity;         ///< tells devices apart among stored plans: name, capability, memory
  int architecture = 0;         ///< compute capability times 10
  std::filesystem::path plans;  ///< folder of stored plans, see PlanStore
  std::function<void()> check;  ///< throws Error(kind device) if the device does not run any more
};

/// Convolutions by cuDNN on the current device where it takes them, by the plain kernel where it does not; the log says
/// which and why. With `options.autotune` the fastest of cuDNN's engines, timed once and remembered. Throws Error(kind
/// device) if cuDNN cannot be used.
std::unique_ptr<ConvPlanner> make_cudnn_planner(const Cudnn& api, const PlannerDevice& device,
                                                const CudaOptions& options);

/// Fills what `status` says of cuDNN and NVRTC.
void find_cudnn(CudaStatus& status);

}  // namespace qnudge::cuda
