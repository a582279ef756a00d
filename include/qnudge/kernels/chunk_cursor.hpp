// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/elementwise.hpp"

namespace qnudge {

/// Which images one stream of a loop over image chunks has in hand. Chunks are always whole: one that would reach
/// beyond the set begins earlier and skips what others have; where there is nothing left it skips all of it.
struct ChunkCursor {
  const std::int32_t* round;  ///< finished rounds of the loop, in device memory
  std::int64_t count, size;   ///< images of the set, and of a chunk, size <= count
  std::int32_t streams, stream;

  QNUDGE_HOST_DEVICE std::int64_t wanted() const { return (std::int64_t{*round} * streams + stream) * size; }
  QNUDGE_HOST_DEVICE std::int64_t first() const {
    const std::int64_t at = wanted();
    return at < count - size ? at : count - size;
  }
  QNUDGE_HOST_DEVICE std::int64_t skip() const {
    const std::int64_t seen = wanted() - first();
    return seen < size ? seen : size;
  }
  std::int32_t rounds() const { return static_cast<std::int32_t>((count + size * streams - 1) / (size * streams)); }
};

/// The chunk's part of a cached tensor into a buffer that stays where it is: to[i] = from[first * bytes + i].
struct GatherChunk {
  static constexpr std::int64_t kPack = CodePack::kSize;
  const std::int8_t* from;  ///< [count, bytes]
  std::int8_t* to;          ///< [size, bytes]
  ChunkCursor cursor;
  std::int64_t bytes;  ///< of one image

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = from[cursor.first() * bytes + i]; }

  bool packable(std::int64_t) const {
    return bytes % CodePack::kSize == 0 && CodePack::fits(from) && CodePack::fits(to);
  }
  QNUDGE_HOST_DEVICE void pack(std::int64_t j) const {
    CodePack::load(from + cursor.first() * bytes + j * CodePack::kSize).store(to + j * CodePack::kSize);
  }
};

}  // namespace qnudge
