// SPDX-License-Identifier: MIT
#include "qnudge/kernels/descent.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace qnudge {
namespace {

TEST(Descent, StepIsTheBestOfAllCodesAndLowersTheErrorStrictly) {
  std::mt19937_64 random(1);
  for (int trial = 0; trial < 20000; ++trial) {
    const std::int32_t low = -(1 << (random() % 8)), high = -low - 1;
    const auto code = static_cast<std::int32_t>(
        low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1)));
    const auto diagonal = static_cast<std::int64_t>(random() % 50);
    const auto gradient = static_cast<std::int64_t>(random() % 4001) - 2000;
    const std::int32_t d = DescentRule{low, high}(code, gradient, diagonal);
    ASSERT_GE(code + d, low);
    ASSERT_LE(code + d, high);
    const std::int64_t change = error_change(d, gradient, diagonal);
    ASSERT_TRUE(d == 0 || change < 0);
    if (diagonal == 0) {
      ASSERT_EQ(d, 0);
      continue;
    }
    for (std::int32_t other = low; other <= high; ++other) {
      ASSERT_LE(change, error_change(other - code, gradient, diagonal)) << code << " " << gradient << " " << diagonal;
    }
  }
}

TEST(Descent, HalvesGoTowardsZero) {
  EXPECT_EQ((DescentRule{-8, 7}(0, 5, 10)), 0);
  EXPECT_EQ((DescentRule{-8, 7}(0, -5, 10)), 0);
  EXPECT_EQ((DescentRule{-8, 7}(0, 6, 10)), -1);
  EXPECT_EQ((DescentRule{-8, 7}(0, -15, 10)), 1);
  EXPECT_EQ((DescentRule{-8, 7}(0, -16, 10)), 2);
}

TEST(Descent, ErrorChangeIsExact) {
  const std::int64_t h[2][2] = {{7, -3}, {-3, 5}}, c[2] = {11, -4};
  const auto error = [&](std::int64_t a, std::int64_t b) {
    return h[0][0] * a * a + 2 * h[0][1] * a * b + h[1][1] * b * b - 2 * (c[0] * a + c[1] * b);
  };
  for (std::int64_t a = -3; a < 3; ++a) {
    for (std::int64_t b = -3; b < 3; ++b) {
      const std::int64_t gradient = h[1][0] * a + h[1][1] * b - c[1];
      for (std::int64_t d = -4; d <= 4; ++d)
        EXPECT_EQ(error_change(d, gradient, h[1][1]), error(a, b + d) - error(a, b));
    }
  }
}

TEST(Descent, DrawnOrdersVisitEveryRowOnce) {
  std::mt19937 random(2);
  for (std::int64_t rows : {1, 2, 3, 9, 16, 27, 30, 576, 4608, 25088}) {
    for (int trial = 0; trial < 20; ++trial) {
      const std::uint32_t offset = trial == 0 ? 0xffffffffu : random(), stride = trial == 1 ? 0xffffffffu : random();
      const RowOrder order = RowOrder::drawn(rows, offset, stride);
      std::vector<bool> seen(static_cast<std::size_t>(rows));
      for (std::int64_t i = 0; i < rows; ++i) {
        ASSERT_LT(order(i), rows);
        ASSERT_FALSE(seen[static_cast<std::size_t>(order(i))]) << rows << " " << offset << " " << stride;
        seen[static_cast<std::size_t>(order(i))] = true;
      }
    }
  }
  const RowOrder plain{.rows = 5};
  for (std::int64_t i = 0; i < 5; ++i) EXPECT_EQ(plain(i), i);
}

TEST(Gain, IsTheLeastSquaresOneWithinItsBounds) {
  EXPECT_EQ(fitted_gain(300, 200, 1), 1.5);
  EXPECT_EQ(fitted_gain(300, 1, 1), kGainHigh);
  EXPECT_EQ(fitted_gain(-300, 1, 1), kGainLow);
  EXPECT_EQ(fitted_gain(1, 300, 1), kGainLow);
  EXPECT_EQ(fitted_gain(300, 0, 0.75), 0.75);
  EXPECT_EQ(fitted_gain(300, -5, 0.75), 0.75) << "rounding can make the power of near-constants negative";
}

TEST(Gain, DividesTheLinearTermAndRestoresTheError) {
  EXPECT_EQ(scaled_linear(7, 2, 100), 4) << "3.5 to even";
  EXPECT_EQ(scaled_linear(-9, 2, 100), -4) << "-4.5 to even";
  EXPECT_EQ(scaled_linear(1000, 0.5, 100), 100);
  EXPECT_EQ(scaled_linear(-1000, 0.5, 100), -100);
  EXPECT_EQ(gained_error(-12, 0.5), -3);
  EXPECT_EQ(gained_error(std::int64_t{1} << 60, 4), std::int64_t{1} << 61);
  EXPECT_EQ(gained_error(-(std::int64_t{1} << 60), 4), -(std::int64_t{1} << 61));
  // q' h q - 2 c q of one tap at the best gain: -(c q)^2 / (q h q)
  const std::int64_t h = 8, c = 96, q = 3, power = h * q * q;
  const double gain = fitted_gain(c * q, power, 1);
  EXPECT_EQ(gain, 4.0);
  EXPECT_EQ(gained_error(power - 2 * q * scaled_linear(c, gain, 1000), gain), -(c * q) * (c * q) / power);
}

TEST(Perturb, StepsByOneWithHalfTheRateEachAndStaysInRange) {
  const PerturbRule rule = perturb_rule(0.25, -2, 1);
  EXPECT_EQ(rule(0, 0), -1);
  EXPECT_EQ(rule(0, (1u << 29) - 1), -1);
  EXPECT_EQ(rule(0, 1u << 29), 1);
  EXPECT_EQ(rule(0, (1u << 30) - 1), 1);
  EXPECT_EQ(rule(0, 1u << 30), 0);
  EXPECT_EQ(rule(-2, 0), 0);
  EXPECT_EQ(rule(1, 1u << 29), 0);
  EXPECT_EQ(perturb_rule(0, -2, 1)(0, 0), 0);
  EXPECT_EQ(perturb_rule(1, -2, 1)(0, 0xfffffffeu), 1);
}

}  // namespace
}  // namespace qnudge
