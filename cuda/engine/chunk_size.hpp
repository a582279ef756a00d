// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "device_network.hpp"

namespace qnudge::cuda {

struct ChunkLimits {
  std::size_t bytes = 0;     ///< of device memory for the arenas of all streams
  int streams = 1;           ///< arenas, at most
  std::int64_t rows = 2048;  ///< images times candidates that fill the device
  std::int64_t images = 0;   ///< of a chunk, if set by hand; 0: as many as fit and fill
};

struct ChunkChoice {
  std::int64_t images = 1;
  int streams = 1;
};

/// Images per chunk, 1 to `count`: as many as `rows` asks for, fewer if memory or the limit of 2^31 - 1 elements a
/// tensor demands it; fewer streams before none. Throws Error(kind device) naming the smallest need if not even one
/// image fits one stream.
ChunkChoice choose_chunk(const DeviceNetwork& network, const std::vector<int>& nodes, std::int64_t candidates,
                         std::int64_t count, const ChunkLimits& limits);

}  // namespace qnudge::cuda
