// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <cstring>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Bits of a number in IEEE half precision; infinities and NaN do not occur. Conversions are integer and fp32
/// operations alone, so that every compiler and machine gives the same bits.
struct Half {
  std::uint16_t bits = 0;
  friend bool operator==(const Half&, const Half&) = default;
};

constexpr float kLargestHalf = 65504.0f;

QNUDGE_HOST_DEVICE std::uint32_t bits_of(float v) {
  std::uint32_t bits = 0;
  memcpy(&bits, &v, sizeof bits);
  return bits;
}
QNUDGE_HOST_DEVICE float float_of(std::uint32_t bits) {
  float v = 0;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/// Exact: the product with a power of two moves the exponent, subnormal numbers included.
QNUDGE_HOST_DEVICE float to_float(Half h) {
  const float magnitude = float_of((h.bits & 0x7fffu) << 13) * 0x1p112f;
  return float_of(bits_of(magnitude) | (h.bits & 0x8000u) << 16);
}

/// Nearest half, ties to even, for |v| <= kLargestHalf.
QNUDGE_HOST_DEVICE Half to_half(float v) {
  const std::uint32_t bits = bits_of(v), magnitude = bits & 0x7fffffffu;
  // Normal: the 13 bits that half lacks are rounded off, a carry goes into the exponent, which counts from 15, not 127.
  const std::uint32_t normal = ((magnitude + 0xfffu + (magnitude >> 13 & 1u)) >> 13) - (112u << 10);
  // Below 2^-14: the last bit of a number in [0.5, 1) stands for 2^-24, as that of a subnormal half does.
  const std::uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
  const std::uint32_t rounded = magnitude < bits_of(0x1p-14f) ? subnormal : normal;
  return {static_cast<std::uint16_t>((bits >> 16 & 0x8000u) | rounded)};
}

/// Every integer from -2048 to 2048 is a half.
QNUDGE_HOST_DEVICE Half to_half(std::int8_t code) {
  return to_half(static_cast<float>(code));
}

}  // namespace qnudge
