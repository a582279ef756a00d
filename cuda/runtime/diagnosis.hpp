// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <string_view>

#include "qnudge/cuda/devices.hpp"

namespace qnudge::cuda {

/// Why a device of this capability cannot run qnudge's kernels; empty if it can.
std::string capability_problem(const CudaDeviceInfo& device);

/// Why nothing can run, given what the first call of the runtime said and what was found; empty if something can.
std::string status_problem(cudaError_t first_call, const CudaStatus& found);

/// Why a device that can be used will be slow; empty if it need not be.
std::string status_warning(const CudaStatus& found);

/// ": " and what the lines of the driver's log say, on one line, each different message once, without times and
/// threads, which would make the same complaint look new; empty for an empty log.
std::string log_sentence(std::string_view lines);

/// "13.0" of 13000.
std::string version_text(int version);

}  // namespace qnudge::cuda
