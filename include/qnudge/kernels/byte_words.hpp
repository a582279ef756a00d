// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

/// Four bytes at a time, in words whose lowest byte comes first in memory.
namespace qnudge {

/// Byte i of the result is the byte that nibble i of `selector` names: 0 to 3 of `low`, 4 to 7 of `high`.
QNUDGE_HOST_DEVICE std::uint32_t pick_bytes(std::uint32_t low, std::uint32_t high, std::uint32_t selector) {
#if defined(__CUDA_ARCH__)
  return __byte_perm(low, high, selector);
#else
  const std::uint64_t all = static_cast<std::uint64_t>(high) << 32 | low;
  std::uint32_t picked = 0;
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t byte = selector >> (4 * i) & 7u;
    picked |= static_cast<std::uint32_t>(all >> (8 * byte) & 0xffu) << (8 * i);
  }
  return picked;
#endif
}

/// Signed byte i of a word.
QNUDGE_HOST_DEVICE std::int8_t byte_of(std::uint32_t word, int i) {
  return static_cast<std::int8_t>(word >> (8 * i));
}

/// sum + the products of the signed bytes of `a` and `b`.
QNUDGE_HOST_DEVICE std::int32_t dot_bytes(std::uint32_t a, std::uint32_t b, std::int32_t sum) {
#if defined(__CUDA_ARCH__)
  return __dp4a(static_cast<int>(a), static_cast<int>(b), sum);
#else
  for (int i = 0; i < 4; ++i) sum += byte_of(a, i) * byte_of(b, i);
  return sum;
#endif
}

struct alignas(16) FourWords {
  std::uint32_t v[4];
};

/// Byte j of word i becomes byte i of word j.
QNUDGE_HOST_DEVICE FourWords transposed_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  const std::uint32_t ab_low = pick_bytes(a, b, 0x5140), ab_high = pick_bytes(a, b, 0x7362);  // a0 b0 a1 b1, a2 ...
  const std::uint32_t cd_low = pick_bytes(c, d, 0x5140), cd_high = pick_bytes(c, d, 0x7362);
  return {{pick_bytes(ab_low, cd_low, 0x5410), pick_bytes(ab_low, cd_low, 0x7632), pick_bytes(ab_high, cd_high, 0x5410),
           pick_bytes(ab_high, cd_high, 0x7632)}};
}

}  // namespace qnudge
