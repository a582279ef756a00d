// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>

#include "device_network.hpp"

namespace qnudge::cuda {

struct ChunkLimits {
  std::size_t bytes = 0;     ///< of device memory for all that is counted
  int streams = 1;           ///< arenas, at most
  std::int64_t rows = 2048;  ///< images times candidates that fill the device
  std::int64_t images = 0;   ///< of a chunk, if set by hand; 0: as many as fit and fill
};

struct ChunkChoice {
  std::int64_t images = 1;
  int streams = 1;
};

/// What a program over some nodes holds at once.
struct ChunkNeeds {
  std::int64_t row_bytes = 1;    ///< per image and candidate, workspaces apart
  std::int64_t image_bytes = 0;  ///< per image, whatever the candidates
  std::int64_t largest = 1;      ///< elements of the largest tensor, per image and candidate

  std::int64_t bytes(std::int64_t images, std::int64_t candidates) const {
    return images * (candidates * row_bytes + image_bytes);
  }
};

/// `gathered`: nodes whose tensors each chunk gets a copy of.
ChunkNeeds chunk_needs(const IntNetwork& network, const std::vector<int>& nodes, const std::vector<int>& gathered);

/// Images per chunk, 1 to `count`: as many as `rows` asks for, fewer if memory or the limit of 2^31 - 1 elements a
/// tensor demands it; fewer streams before none. Nothing if not even one image fits one stream.
std::optional<ChunkChoice> fit_chunk(const ChunkNeeds& needs, std::int64_t candidates, std::int64_t count,
                                     const ChunkLimits& limits);

/// fit_chunk for a program without candidates. Throws Error(kind device) naming the smallest need if nothing fits.
ChunkChoice choose_chunk(const IntNetwork& network, const std::vector<int>& nodes, std::int64_t count,
                         const ChunkLimits& limits);

/// "3.5 MiB"
std::string mebibytes_text(std::int64_t bytes);

}  // namespace qnudge::cuda
