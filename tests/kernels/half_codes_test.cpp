// SPDX-License-Identifier: MIT
#include "qnudge/kernels/half_codes.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace qnudge {
namespace {

/// The value of a normal or zero half, from its definition.
double value_of(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(HalfCodes, EveryCodeIsExact) {
  for (int code = -128; code <= 127; ++code) {
    EXPECT_EQ(value_of(half_bits(static_cast<std::int8_t>(code))), code);
  }
  EXPECT_EQ(half_bits(0), 0);
  EXPECT_EQ(half_bits(1), 0x3c00);
  EXPECT_EQ(half_bits(-2), 0xc000);
}

}  // namespace
}  // namespace qnudge
