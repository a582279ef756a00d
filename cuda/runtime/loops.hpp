// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace qnudge::cuda {

/// What host and device share while a graph of generations runs, in memory that both see.
struct GraphControl {
  volatile std::int32_t stop;  ///< set by the host: no further generation
  volatile std::int32_t done;  ///< counted by the device: finished generations
};

/// Before a WHILE node: *round <- 0, and its body runs at least once.
void begin_loop(cudaGraphConditionalHandle handle, std::int32_t* round, cudaStream_t stream);
/// At the end of its body: ++*round; once more while below `times`.
void end_round(cudaGraphConditionalHandle handle, std::int32_t* round, std::int32_t times, cudaStream_t stream);
/// ++*round, where the host makes the loop.
void count_round(std::int32_t* round, cudaStream_t stream);
/// At the end of the loop over generations: once more while fewer than `times` are done and nobody asked to stop.
void end_generations(cudaGraphConditionalHandle handle, GraphControl* control, std::int32_t times, cudaStream_t stream);

}  // namespace qnudge::cuda
