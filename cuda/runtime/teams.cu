// SPDX-License-Identifier: MIT
// Searches by channel: one block works on one channel or offspring.
#include <algorithm>

#include "block_team.cuh"
#include "check.hpp"
#include "launch.hpp"
#include "philox.hpp"

namespace qnudge::cuda {
namespace {

template <bool kScratch, class Op>
__global__ void __launch_bounds__(kTeamThreads, 4) for_each_team_kernel(std::int64_t count, Op op) {
  using Team = BlockTeam<kScratch>;
  __shared__ typename Team::Shared shared;
  for (std::int64_t i = blockIdx.x; i < count; i += gridDim.x) {
    op(Team(shared), CurandPhilox{}, i);
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

/// Whether blocks of `kernel` can have so much dynamic shared memory on this device; beyond 48 KiB it has to be asked
/// for.
template <class Kernel>
bool can_have_shared(Kernel kernel, std::size_t bytes) {
  constexpr std::size_t kUnasked = 48 * 1024;
  int device = 0, most = 0;
  cudaFuncAttributes attributes{};
  QNUDGE_CUDA_CHECK(cudaGetDevice(&device));
  QNUDGE_CUDA_CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  QNUDGE_CUDA_CHECK(cudaFuncGetAttributes(&attributes, kernel));
  if (bytes + attributes.sharedSizeBytes > static_cast<std::size_t>(most)) return false;
  QNUDGE_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared));
  if (bytes + attributes.sharedSizeBytes > kUnasked) {
    QNUDGE_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)));
  }
  return true;
}

template <class Op>
void launch_teams(const Op& op, std::int64_t count, cudaStream_t stream) {
  constexpr std::int64_t kMaxBlocks = std::int64_t{1} << 20;
  const auto blocks = static_cast<unsigned>(std::min(count, kMaxBlocks));
  if constexpr (requires { op.scratch_bytes(); }) {
    if (const std::size_t bytes = op.scratch_bytes(); can_have_shared(for_each_team_kernel<true, Op>, bytes)) {
      for_each_team_kernel<true><<<blocks, kTeamThreads, bytes, stream>>>(count, op);
      return;
    }
  }
  for_each_team_kernel<false><<<blocks, kTeamThreads, 0, stream>>>(count, op);
}

unsigned blocks_of(std::int64_t count, std::int64_t each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

}  // namespace

void launch(const ForEachTeam& command, cudaStream_t stream) {
  if (command.count == 0) return;
  std::visit([&](const auto& op) { launch_teams(op, command.count, stream); }, command.op);
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
