// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include "qnudge/cuda/commands.hpp"
#include "qnudge/kernels/phase_filter.hpp"

/// Kernels of the commands. Each call enqueues on `stream` and returns; Error(kind device) if the launch is refused.
namespace qnudge::cuda {

void launch(const PlainConv& op, std::int64_t count, cudaStream_t stream);
void launch(const PhaseFilter& op, cudaStream_t stream);
void launch(const ForEach& command, cudaStream_t stream);
void launch(const ForEachDrawing& command, cudaStream_t stream);
void launch(const ForEachTeam& command, cudaStream_t stream);
void launch(const PlainByteProduct& op, std::int64_t count, cudaStream_t stream);
void launch(const SumTaps& command, cudaStream_t stream);
void launch(const SumErrors& command, cudaStream_t stream);
void launch(const Score& command, cudaStream_t stream);
void launch(const Rank& command, cudaStream_t stream);
void launch(const EndGeneration& command, cudaStream_t stream);
void launch(const EndChannels& command, cudaStream_t stream);

/// Sum of `count` integers in device memory, after everything enqueued on `stream`; waits.
std::int64_t sum_of(const std::int64_t* values, std::int64_t count, cudaStream_t stream);

}  // namespace qnudge::cuda
