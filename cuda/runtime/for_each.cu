// SPDX-License-Identifier: MIT
// Grid-stride loops over the shared functors.
#include <algorithm>

#include "check.hpp"
#include "launch.hpp"
#include "philox.hpp"

namespace qnudge::cuda {
namespace {

constexpr int kThreads = 256;

template <class Op>
__global__ void __launch_bounds__(kThreads) for_each_kernel(std::int64_t count, Op op) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
#pragma unroll 1  // otherwise every thread divides to count its rounds
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) op(i);
}

template <class Op>
__global__ void __launch_bounds__(kThreads) for_each_pack_kernel(std::int64_t count, Op op) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
#pragma unroll 1  // otherwise every thread divides to count its rounds
  for (std::int64_t j = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; j < count; j += stride) {
    op.pack(j);
  }
}

template <class Op>
__global__ void __launch_bounds__(kThreads) for_each_drawing_kernel(std::int64_t count, Op op) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
#pragma unroll 1  // otherwise every thread divides to count its rounds
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    op(CurandPhilox{}, i);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) sum_taps_kernel(std::int64_t count, TapSums<T> op) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
#pragma unroll 1  // otherwise every thread divides to count its rounds
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    atomicAdd(reinterpret_cast<unsigned long long*>(op.sum + i % op.taps()), static_cast<unsigned long long>(op(i)));
  }
}

__global__ void __launch_bounds__(kThreads)
    count_differing_kernel(const std::byte* a, const std::byte* b, std::int64_t bytes, std::int64_t* differing) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * kThreads;
  unsigned long long count = 0;
#pragma unroll 1  // otherwise every thread divides to count its rounds
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < bytes; i += stride) {
    count += a[i] != b[i] ? 1 : 0;
  }
  if (count > 0) atomicAdd(reinterpret_cast<unsigned long long*>(differing), count);
}

/// Enough blocks to fill any device several times over; the loop's stride does the rest.
unsigned blocks_for(std::int64_t count) {
  constexpr std::int64_t kMaxBlocks = 65535;
  return static_cast<unsigned>(std::min((count + kThreads - 1) / kThreads, kMaxBlocks));
}

template <class Op>
void launch_op(const Op& op, std::int64_t count, cudaStream_t stream) {
  if constexpr (requires { op.pack(count); }) {
    if (op.packable(count)) {
      const std::int64_t packs = count / Op::kPack;
      for_each_pack_kernel<<<blocks_for(packs), kThreads, 0, stream>>>(packs, op);
      return;
    }
  }
  for_each_kernel<<<blocks_for(count), kThreads, 0, stream>>>(count, op);
}

}  // namespace

void launch(const PlainConv<std::int8_t>& op, std::int64_t count, cudaStream_t stream) {
  launch_op(op, count, stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const PlainConv<Half>& op, std::int64_t count, cudaStream_t stream) {
  launch_op(op, count, stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const PlainByteProduct& op, std::int64_t count, cudaStream_t stream) {
  launch_op(op, count, stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const RandomCodes& op, std::int64_t count, cudaStream_t stream) {
  launch_op(op, count, stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void count_differing(const std::byte* a, const std::byte* b, std::int64_t bytes, std::int64_t* differing,
                     cudaStream_t stream) {
  count_differing_kernel<<<blocks_for(bytes), kThreads, 0, stream>>>(a, b, bytes, differing);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const HalfCodes& op, std::int64_t count, cudaStream_t stream) {
  launch_op(op, count, stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const PhaseFilter<std::int8_t>& op, cudaStream_t stream) {
  launch_op(op, op.size(), stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const PhaseFilter<Half>& op, cudaStream_t stream) {
  launch_op(op, op.size(), stream);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const ForEach& command, cudaStream_t stream) {
  if (command.count == 0) return;
  std::visit([&](const auto& op) { launch_op(op, command.count, stream); }, command.op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const ForEachDrawing& command, cudaStream_t stream) {
  if (command.count == 0) return;
  std::visit(
      [&](const auto& op) {
        for_each_drawing_kernel<<<blocks_for(command.count), kThreads, 0, stream>>>(command.count, op);
      },
      command.op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const SumTaps& command, cudaStream_t stream) {
  std::visit(
      [&](const auto& op) {
        const std::int64_t count = command.images * op.taps();
        sum_taps_kernel<<<blocks_for(count), kThreads, 0, stream>>>(count, op);
      },
      command.op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

}  // namespace qnudge::cuda
