// SPDX-License-Identifier: MIT
#include "check.hpp"

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(ErrorKind::device, "{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status));
}

void check_stopped(cudaError_t status) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(ErrorKind::device,
       "the device stopped: {} ({}); the last checkpoint is intact, go on with --resume once the device answers again",
       cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace qnudge::cuda
