// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "cuda/cudnn/library.hpp"
#include "device_conv.hpp"
#include "qnudge/cuda/devices.hpp"

namespace qnudge::cuda {

/// Convolutions by cuDNN on the current device where it takes them, by the plain kernel where it does not; the log says
/// which and why. With `options.autotune` the fastest of cuDNN's engines, timed once and remembered. `device` tells
/// devices apart among stored plans: name, capability, memory. `plans`: their folder, see PlanStore. Throws Error(kind
/// device) if cuDNN cannot be used.
std::unique_ptr<ConvPlanner> make_cudnn_planner(const Cudnn& api, const std::string& device,
                                                const std::filesystem::path& plans, const CudaOptions& options);

/// Fills what `status` says of cuDNN and NVRTC.
void find_cudnn(CudaStatus& status);

}  // namespace qnudge::cuda
