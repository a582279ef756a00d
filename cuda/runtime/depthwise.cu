// SPDX-License-Identifier: MIT
// Depthwise convolutions of codes, of which cuDNN has none.
#include "check.hpp"
#include "launch.hpp"

namespace qnudge::cuda {
namespace {

constexpr int kTableThreads = 128;

__global__ void __launch_bounds__(kTableThreads) depthwise_table_kernel(DepthwiseTable op) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kTableThreads + threadIdx.x;
  if (i < op.size()) op(i);
}

/// Blocks of a multiprocessor: as many as let the kernel keep its sums in registers, of which the code for newer
/// architectures needs more.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kBlocksOfOnePixel = 3, kBlocksOfTwoPixels = 2;
#else
constexpr int kBlocksOfOnePixel = 4, kBlocksOfTwoPixels = 3;
#endif

template <int kLanes, int kPixels>
__global__ void __launch_bounds__(DepthwiseTiles::kThreads, kPixels == 1 ? kBlocksOfOnePixel : kBlocksOfTwoPixels)
    depthwise_conv_kernel(DepthwiseConv<kLanes, kPixels> op) {
  op(static_cast<std::int32_t>(blockIdx.x), static_cast<std::int32_t>(threadIdx.x));
}

template <int kLanes, int kPixels>
void launch_conv(const DepthwiseConv<kLanes, kPixels>& op, cudaStream_t stream) {
  depthwise_conv_kernel<<<static_cast<unsigned>(op.tiles.blocks()), DepthwiseTiles::kThreads, 0, stream>>>(op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void launch(const DepthwiseTable& op, cudaStream_t stream) {
  const std::int64_t blocks = (op.size() + kTableThreads - 1) / kTableThreads;
  depthwise_table_kernel<<<static_cast<unsigned>(blocks), kTableThreads, 0, stream>>>(op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const DepthwiseConv<16, 2>& op, cudaStream_t stream) {
  launch_conv(op, stream);
}

void launch(const DepthwiseConv<16, 1>& op, cudaStream_t stream) {
  launch_conv(op, stream);
}

void launch(const DepthwiseConv<4, 1>& op, cudaStream_t stream) {
  launch_conv(op, stream);
}

}  // namespace qnudge::cuda
