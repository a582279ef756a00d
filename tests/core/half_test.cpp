// SPDX-License-Identifier: MIT
#include "qnudge/core/half.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace qnudge {
namespace {

constexpr std::uint16_t kInfinity = 0x7c00;

/// The value of a finite half, from its definition.
double value_of(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, EveryFiniteHalfAsFloatAndBack) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    if ((bits & kInfinity) == kInfinity) continue;
    const Half h{static_cast<std::uint16_t>(bits)};
    EXPECT_EQ(static_cast<double>(to_float(h)), value_of(h.bits)) << bits;
    EXPECT_EQ(to_half(to_float(h)).bits, h.bits);
  }
}

/// Between any two neighbours: below the middle, the middle itself, which goes to the even one, and above it.
TEST(Half, RoundsToNearestAndTiesToEven) {
  for (std::uint16_t bits = 0; bits < kInfinity - 1; ++bits) {
    const auto next = static_cast<std::uint16_t>(bits + 1);
    const auto middle = static_cast<float>((value_of(bits) + value_of(next)) / 2);
    for (const float sign : {1.0f, -1.0f}) {
      const std::uint16_t mark = sign < 0 ? 0x8000 : 0;
      EXPECT_EQ(to_half(sign * middle).bits, mark | (bits % 2 == 0 ? bits : next));
      EXPECT_EQ(to_half(sign * std::nextafter(middle, 0.0f)).bits, mark | bits);
      EXPECT_EQ(to_half(sign * std::nextafter(middle, 1e9f)).bits, mark | next);
    }
  }
}

TEST(Half, EveryCodeIsExact) {
  for (int code = -128; code <= 127; ++code) EXPECT_EQ(value_of(to_half(static_cast<std::int8_t>(code)).bits), code);
}

}  // namespace
}  // namespace qnudge
