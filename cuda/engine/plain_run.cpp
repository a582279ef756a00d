// SPDX-License-Identifier: MIT
#include "plain_run.hpp"

namespace qnudge::cuda {

ChunkLimits chunk_limits(const Device& device, const EngineOptions& options) {
  ChunkLimits limits;
  limits.streams = device.streams();
  limits.images = options.images_per_chunk;
  // An eighth stays free for workspaces, plans and whatever else uses the device.
  limits.bytes =
      options.memory_bytes > 0 ? static_cast<std::size_t>(options.memory_bytes) : device.free_bytes() / 8 * 7;
  return limits;
}

ChunkLimits plain_limits(const Device& device, const EngineOptions& options) {
  ChunkLimits limits = chunk_limits(device, options);
  limits.streams = 1;
  limits.rows = 512;
  return limits;
}

}  // namespace qnudge::cuda
