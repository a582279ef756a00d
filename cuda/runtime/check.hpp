// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

namespace qnudge::cuda {

/// Throws Error(kind device) naming the call unless it succeeded; later calls start with a clean slate. Defined apart,
/// because nvcc does not compile the formatting library.
void check(cudaError_t status, const char* call);
/// For a wait: throws Error(kind device) saying that the device stopped and that work can be resumed.
void check_stopped(cudaError_t status);

}  // namespace qnudge::cuda

#define QNUDGE_CUDA_CHECK(call) ::qnudge::cuda::check((call), #call)
