// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "qnudge/cuda/commands.hpp"
#include "qnudge/kernels/depthwise_conv.hpp"
#include "qnudge/kernels/phase_filter.hpp"

/// Kernels of the commands. Each call enqueues on `stream` and returns; Error(kind device) if the launch is refused.
namespace qnudge::cuda {

/// Codes that look random, to try convolutions on: element i from i and a seed.
struct RandomCodes {
  std::int8_t* to;
  std::uint32_t seed;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    std::uint32_t word = static_cast<std::uint32_t>(i) * 2654435761u ^ seed * 2246822519u;
    word = (word ^ word >> 15) * 2246822519u;
    to[i] = static_cast<std::int8_t>((word ^ word >> 13) >> 8);
  }
};

void launch(const PlainConv<std::int8_t>& op, std::int64_t count, cudaStream_t stream);
void launch(const PlainConv<Half>& op, std::int64_t count, cudaStream_t stream);
void launch(const DepthwiseTable& op, cudaStream_t stream);
void launch(const DepthwiseConv<16, 2>& op, cudaStream_t stream);
void launch(const DepthwiseConv<16, 1>& op, cudaStream_t stream);
void launch(const DepthwiseConv<4, 1>& op, cudaStream_t stream);
void launch(const PhaseFilter<std::int8_t>& op, cudaStream_t stream);
void launch(const PhaseFilter<Half>& op, cudaStream_t stream);
void launch(const RandomCodes& op, std::int64_t count, cudaStream_t stream);
void launch(const HalfCodes& op, std::int64_t count, cudaStream_t stream);
void launch(const ForEach& command, cudaStream_t stream);
void launch(const ForEachDrawing& command, cudaStream_t stream);
void launch(const ForEachTeam& command, cudaStream_t stream);
void launch(const PlainByteProduct& op, std::int64_t count, cudaStream_t stream);
void launch(const SumTaps& command, cudaStream_t stream);
void launch(const SumErrors& command, cudaStream_t stream);
void launch(const Score& command, cudaStream_t stream);
void launch(const Evaluate& command, cudaStream_t stream);
void launch(const Rank& command, cudaStream_t stream);
void launch(const EndGeneration& command, cudaStream_t stream);
void launch(const EndChannels& command, cudaStream_t stream);

/// *differing += bytes of a and b that differ; all in device memory.
void count_differing(const std::byte* a, const std::byte* b, std::int64_t bytes, std::int64_t* differing,
                     cudaStream_t stream);
/// Sum of `count` integers in device memory, after everything enqueued on `stream`; waits.
std::int64_t sum_of(const std::int64_t* values, std::int64_t count, cudaStream_t stream);

}  // namespace qnudge::cuda
