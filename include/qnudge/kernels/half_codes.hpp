// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Bits of a code as IEEE half: every integer from -2048 to 2048 is one.
QNUDGE_HOST_DEVICE std::uint16_t half_bits(std::int8_t code) {
  if (code == 0) return 0;
  std::uint32_t magnitude = static_cast<std::uint32_t>(code < 0 ? -code : code), exponent = 25;
  while (magnitude < 1024) {  // until the leading one stands where half leaves it out
    magnitude <<= 1;
    --exponent;
  }
  return static_cast<std::uint16_t>((code < 0 ? 0x8000u : 0u) | exponent << 10 | (magnitude & 1023u));
}

/// to[i] = from[i] as half.
struct HalfCodes {
  const std::int8_t* from;
  std::uint16_t* to;
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = half_bits(from[i]); }
};

}  // namespace qnudge
