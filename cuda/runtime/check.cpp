// SPDX-License-Identifier: MIT
#include "check.hpp"

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(ErrorKind::device, "{} failed: {} ({})", call, cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace qnudge::cuda
