// SPDX-License-Identifier: MIT
#include "qnudge/report/interval.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

TEST(PairedInterval, EqualsHandComputation) {
  // b = 12, c = 5, n = 100: d = .07, se = sqrt(17 - 49 / 100) / 100 = .0406325..., p = 2 P(X <= 5), X ~ B(17, 1/2):
  // (1 + 17 + 136 + 680 + 2380 + 6188) / 131072 = 9402 / 131072.
  const PairedInterval i = paired_interval(12, 5, 100);
  EXPECT_DOUBLE_EQ(i.difference, 0.07);
  EXPECT_NEAR(i.standard_error, std::sqrt(16.51) / 100, 1e-15);
  EXPECT_NEAR(i.low, 0.07 - 1.959963984540054 * std::sqrt(16.51) / 100, 1e-12);
  EXPECT_NEAR(i.high, 0.07 + 1.959963984540054 * std::sqrt(16.51) / 100, 1e-12);
  EXPECT_NEAR(i.p_value, 2 * 9402.0 / 131072.0, 1e-12);
}

TEST(PairedInterval, CountsDiscordantSamples) {
  const std::vector<std::int32_t> labels = {0, 1, 2, 3, 4}, first = {0, 1, 2, 0, 9}, second = {0, 0, 0, 3, 8};
  const PairedInterval i = paired_interval(labels, first, second);
  EXPECT_EQ(i.gained, 2);
  EXPECT_EQ(i.lost, 1);
  EXPECT_EQ(i.n, 5);
  EXPECT_DOUBLE_EQ(i.difference, 0.2);
}

TEST(PairedInterval, WithoutDiscordantSamplesIsExactlyZero) {
  const PairedInterval i = paired_interval(0, 0, 10);
  EXPECT_EQ(i.difference, 0);
  EXPECT_EQ(i.standard_error, 0);
  EXPECT_EQ(i.low, 0);
  EXPECT_EQ(i.high, 0);
  EXPECT_EQ(i.p_value, 1);
}

TEST(PairedInterval, ExtremesStayInRange) {
  const PairedInterval all = paired_interval(4, 0, 4);
  EXPECT_EQ(all.difference, 1);
  EXPECT_EQ(all.standard_error, 0);
  EXPECT_EQ(all.high, 1);
  EXPECT_DOUBLE_EQ(all.p_value, 2.0 / 16);
  EXPECT_EQ(paired_interval(3, 3, 6).p_value, 1);
  const PairedInterval huge = paired_interval(40'000, 10'000, 50'000);
  EXPECT_GE(huge.p_value, 0);
  EXPECT_LT(huge.p_value, 1e-300);
  EXPECT_NEAR(paired_interval(25'000, 25'000, 50'000).p_value, 1, 1e-12);
}

TEST(PairedInterval, SwapChangesOnlyTheSign) {
  const PairedInterval a = paired_interval(30, 12, 200), b = paired_interval(12, 30, 200);
  EXPECT_DOUBLE_EQ(a.difference, -b.difference);
  EXPECT_DOUBLE_EQ(a.low, -b.high);
  EXPECT_DOUBLE_EQ(a.p_value, b.p_value);
}

/// The p-value against a sum over all outcomes, each term from Pascal's triangle.
TEST(PairedInterval, PValueEqualsEnumeration) {
  for (int trials = 1; trials <= 40; ++trials) {
    std::vector<double> row = {1};
    for (int t = 1; t <= trials; ++t) {
      row.push_back(0);
      for (std::size_t k = row.size() - 1; k > 0; --k) row[k] += row[k - 1];
    }
    for (int b = 0; b <= trials; ++b) {
      double tail = 0;
      for (int k = 0; k <= std::min(b, trials - b); ++k) tail += row[static_cast<std::size_t>(k)];
      const double expected = std::min(1.0, 2 * tail / std::ldexp(1.0, trials));
      EXPECT_NEAR(paired_interval(b, trials - b, 50).p_value, expected, 1e-11) << b << " of " << trials;
    }
  }
}

TEST(PairedInterval, CoversTheTruth) {
  std::mt19937_64 random(3);
  int covered = 0;
  constexpr int kRuns = 2000;
  for (int run = 0; run < kRuns; ++run) {
    std::int64_t gained = 0, lost = 0;
    for (int i = 0; i < 400; ++i) {
      const auto draw = random() % 100;
      gained += draw < 15;
      lost += draw >= 15 && draw < 25;
    }
    const PairedInterval interval = paired_interval(gained, lost, 400);
    covered += interval.low <= 0.05 && 0.05 <= interval.high;
  }
  EXPECT_NEAR(static_cast<double>(covered) / kRuns, 0.95, 0.02);
}

TEST(PairedInterval, RefusesImpossibleCounts) {
  EXPECT_THROW(paired_interval(1, 1, 0), Error);
  EXPECT_THROW(paired_interval(-1, 1, 4), Error);
  EXPECT_THROW(paired_interval(3, 2, 4), Error);
  const std::vector<std::int32_t> two = {0, 1}, one = {0};
  EXPECT_THROW(paired_interval(two, two, one), Error);
  EXPECT_THROW(paired_interval({}, {}, {}), Error);
}

TEST(ShareInterval, EqualsHandComputation) {
  const ShareInterval i = share_interval(0.7, 10);  // Wilson's, as in its usual worked example
  EXPECT_NEAR(i.low, 0.39677815, 1e-7);
  EXPECT_NEAR(i.high, 0.89220871, 1e-7);
  EXPECT_EQ(share_interval(1.0, 50).high, 1.0);
  EXPECT_LT(share_interval(1.0, 50).low, 1.0);
  EXPECT_EQ(share_interval(0.0, 50).low, 0.0);
  EXPECT_THROW(share_interval(0.5, 0), Error);
  EXPECT_THROW(share_interval(std::nan(""), 3), Error);
}

TEST(SeedInterval, UsesStudentsQuantiles) {
  const std::vector<double> three = {0.5, 0.6, 0.7};
  const SeedInterval i = seed_interval(three);
  EXPECT_EQ(i.n, 3);
  EXPECT_NEAR(i.mean, 0.6, 1e-15);
  EXPECT_NEAR(i.deviation, 0.1, 1e-15);
  EXPECT_NEAR(i.high - i.mean, 4.30265 * 0.1 / std::sqrt(3.0), 1e-5);
  EXPECT_NEAR(i.mean - i.low, i.high - i.mean, 1e-15);

  for (const auto& [degrees, quantile] : {std::pair{31, 2.03951}, {40, 2.02108}, {100, 1.98397}, {1000, 1.96234}}) {
    std::vector<double> values(static_cast<std::size_t>(degrees) + 1, 0.0);
    values.front() = 1;
    const SeedInterval many = seed_interval(values);
    EXPECT_NEAR((many.high - many.mean) / many.deviation * std::sqrt(degrees + 1.0), quantile, 1e-4) << degrees;
  }
}

TEST(SeedInterval, OneSeedHasNoWidth) {
  const std::vector<double> one = {0.25};
  const SeedInterval i = seed_interval(one);
  EXPECT_EQ(i.low, 0.25);
  EXPECT_EQ(i.high, 0.25);
  EXPECT_EQ(i.deviation, 0);
  EXPECT_THROW(seed_interval({}), Error);
}

}  // namespace
}  // namespace qnudge
