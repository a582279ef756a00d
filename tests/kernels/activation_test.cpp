// SPDX-License-Identifier: MIT
#include "qnudge/kernels/activation.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace qnudge {
namespace {

TEST(Activation, HalvesAreClamped) {
  using A = Activation<Half>;
  EXPECT_EQ(to_float(A::nearest(1e30f, A::kLowest, A::kHighest)), 65504.0f);
  EXPECT_EQ(to_float(A::nearest(-INFINITY, A::kLowest, A::kHighest)), -65504.0f);
  EXPECT_EQ(to_float(A::nearest(-3.0f, 0.0f, A::kHighest)), 0.0f);
  EXPECT_EQ(to_float(A::nearest(NAN, 0.0f, 6.0f)), 0.0f);
  EXPECT_EQ(to_float(A::nearest(7.0f, 0.0f, 6.0f)), 6.0f);
}

TEST(Activation, HalvesInFixedPointAreNearest) {
  using A = Activation<Half>;
  for (std::uint32_t bits = 0; bits < 0x7c00; bits += 3) {
    for (const std::uint32_t sign : {0u, 0x8000u}) {
      const Half h{static_cast<std::uint16_t>(bits | sign)};
      const double steps = static_cast<double>(to_float(h)) * A::kFixedOne;
      EXPECT_LE(std::abs(static_cast<double>(A::fixed(h)) - steps), 0.5);
    }
  }
}

}  // namespace
}  // namespace qnudge
