// SPDX-License-Identifier: MIT
// What makes loops inside a graph go round: one thread each.
#include "check.hpp"
#include "loops.hpp"

namespace qnudge::cuda {
namespace {

__global__ void begin_loop_kernel(cudaGraphConditionalHandle handle, std::int32_t* round) {
  *round = 0;
  cudaGraphSetConditional(handle, 1);
}

__global__ void end_round_kernel(cudaGraphConditionalHandle handle, std::int32_t* round, std::int32_t times) {
  const std::int32_t done = *round + 1;
  *round = done;
  cudaGraphSetConditional(handle, done < times ? 1 : 0);
}

__global__ void count_round_kernel(std::int32_t* round) {
  *round += 1;
}

/// The host reads `done` after the graph; it may set `stop` at any time.
__global__ void end_generations_kernel(cudaGraphConditionalHandle handle, GraphControl* control, std::int32_t times) {
  const std::int32_t done = control->done + 1;
  control->done = done;
  cudaGraphSetConditional(handle, done < times && control->stop == 0 ? 1 : 0);
}

}  // namespace

void begin_loop(cudaGraphConditionalHandle handle, std::int32_t* round, cudaStream_t stream) {
  begin_loop_kernel<<<1, 1, 0, stream>>>(handle, round);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void end_round(cudaGraphConditionalHandle handle, std::int32_t* round, std::int32_t times, cudaStream_t stream) {
  end_round_kernel<<<1, 1, 0, stream>>>(handle, round, times);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void count_round(std::int32_t* round, cudaStream_t stream) {
  count_round_kernel<<<1, 1, 0, stream>>>(round);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void end_generations(cudaGraphConditionalHandle handle, GraphControl* control, std::int32_t times,
                     cudaStream_t stream) {
  end_generations_kernel<<<1, 1, 0, stream>>>(handle, control, times);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

}  // namespace qnudge::cuda
