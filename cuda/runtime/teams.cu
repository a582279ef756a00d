// SPDX-License-Identifier: MIT
// Searches by channel: one block works on one channel or offspring.
#include <algorithm>

#include "block_team.cuh"
#include "check.hpp"
#include "launch.hpp"
#include "philox.hpp"

namespace qnudge::cuda {
namespace {

template <class Op>
__global__ void __launch_bounds__(kTeamThreads, 4) for_each_team_kernel(std::int64_t count, Op op) {
  __shared__ BlockTeam::Shared shared;
  for (std::int64_t i = blockIdx.x; i < count; i += gridDim.x) {
    op(BlockTeam(shared), CurandPhilox{}, i);
    __syncthreads();  // the next team's slots are this one's
  }
}

constexpr int kErrorColumns = 64, kErrorLanes = 4, kErrorRows = 256;

/// A block sums kErrorRows rows of kErrorColumns columns, kErrorLanes threads to a column; integers, so that the order
/// of additions is of no account.
__global__ void __launch_bounds__(kErrorColumns* kErrorLanes) sum_errors_kernel(ErrorColumns op) {
  __shared__ long long sums[kErrorLanes][kErrorColumns];
  const auto x = static_cast<int>(threadIdx.x) % kErrorColumns, lane = static_cast<int>(threadIdx.x) / kErrorColumns;
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * kErrorColumns + x;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kErrorRows;
  const std::int64_t end = min(first + kErrorRows, op.rows);
  long long sum = 0;
  if (column < op.columns) {
    for (std::int64_t row = first + lane; row < end; row += kErrorLanes) sum += op(row, column);
  }
  sums[lane][x] = sum;
  __syncthreads();
  if (lane != 0 || column >= op.columns) return;
  for (int l = 1; l < kErrorLanes; ++l) sum += sums[l][x];
  atomicAdd(reinterpret_cast<unsigned long long*>(op.sums + column), static_cast<unsigned long long>(sum));
}

unsigned blocks_of(std::int64_t count, std::int64_t each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace

void launch(const ForEachTeam& command, cudaStream_t stream) {
  constexpr std::int64_t kMaxBlocks = std::int64_t{1} << 20;
  if (command.count == 0) return;
  const auto blocks = static_cast<unsigned>(std::min(command.count, kMaxBlocks));
  std::visit([&](const auto& op) { for_each_team_kernel<<<blocks, kTeamThreads, 0, stream>>>(command.count, op); },
             command.op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const SumErrors& command, cudaStream_t stream) {
  const ErrorColumns& op = command.op;
  if (op.rows == 0) return;
  const dim3 blocks(blocks_of(op.rows, kErrorRows), blocks_of(op.columns, kErrorColumns));
  sum_errors_kernel<<<blocks, kErrorColumns * kErrorLanes, 0, stream>>>(op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

}  // namespace qnudge::cuda
