// SPDX-License-Identifier: MIT
#include "qnudge/kernels/mutate.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

MutationRule uniform_rule(double p, int bits) {
  MutationRule rule;
  rule.uniform = uniform_thresholds(p);
  rule.low = -(1 << (bits - 1));
  rule.high = (1 << (bits - 1)) - 1;
  return rule;
}

TEST(MutateUniform, StepFollowsThePlaceOfTheWord) {
  const MutationRule rule = uniform_rule(0.5, 8);
  const UniformThresholds& t = rule.uniform;
  const auto step = [&](std::uint32_t word) { return rule(0, 0, word); };
  EXPECT_EQ(step(0), -2);
  EXPECT_EQ(step(t.minus2 - 1), -2);
  EXPECT_EQ(step(t.minus2), -1);
  EXPECT_EQ(step(t.minus1 - 1), -1);
  EXPECT_EQ(step(t.minus1), 1);
  EXPECT_EQ(step(t.plus1 - 1), 1);
  EXPECT_EQ(step(t.plus1), 2);
  EXPECT_EQ(step(t.plus2 - 1), 2);
  EXPECT_EQ(step(t.plus2), 0);
  EXPECT_EQ(step(0xFFFFFFFF), 0);
}

TEST(MutateUniform, NothingMovesAtRateZero) {
  const MutationRule rule = uniform_rule(0, 4);
  for (const std::uint32_t word : {0u, 1u, 0x80000000u, 0xFFFFFFFFu}) EXPECT_EQ(rule(3, 0, word), 3);
}

TEST(MutateUniform, ClampsToTheGridAtEveryWidth) {
  for (int bits = 2; bits <= 8; ++bits) {
    const MutationRule rule = uniform_rule(1, bits);
    const std::uint32_t words[] = {0, rule.uniform.minus2, rule.uniform.minus1, rule.uniform.plus1};
    const int steps[] = {-2, -1, 1, 2};
    for (std::int32_t code = rule.low; code <= rule.high; ++code) {
      for (int i = 0; i < 4; ++i) EXPECT_EQ(rule(code, 0, words[i]), std::clamp(code + steps[i], rule.low, rule.high));
    }
  }
}

/// Ten percent each for two steps, forty for one, of those that mutate; away from the ends of the grid.
TEST(MutateUniform, StepsHaveTheDocumentedShares) {
  const MutationRule rule = uniform_rule(0.1, 8);
  std::vector<double> count(5);
  constexpr std::uint32_t kBlocks = 500000;
  for (std::uint32_t block = 0; block < kBlocks; ++block) {
    for (const std::uint32_t word : draw_block(Random123Philox{}, 99, {.candidate = 1}, block).v) {
      ++count[static_cast<std::size_t>(rule(0, 0, word) + 2)];
    }
  }
  const double n = 4.0 * kBlocks;
  const double expected[] = {0.01, 0.04, 0.9, 0.04, 0.01};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(count[i] / n, expected[i], 5 * std::sqrt(expected[i] * (1 - expected[i]) / n)) << i;
  }
}

class MutateResidual : public testing::Test {
 protected:
  MutateResidual() : thresholds_(kResidualSteps) {
    for (std::int32_t i = 0; i < kResidualSteps; ++i)
      thresholds_[static_cast<std::size_t>(i)] = 1000u * static_cast<std::uint32_t>(i);
    rule_.kind = MutationKind::residual;
    rule_.residual_thresholds = thresholds_.data();
    rule_.low = -8;
    rule_.high = 7;
  }

  /// The rule in words: towards the target by one, if the word is below the entry of the distance.
  std::int32_t expected(std::int32_t code, std::int32_t target, std::uint32_t word) const {
    const std::int32_t distance = std::abs(target - 256 * code);
    if (word >= thresholds_[static_cast<std::size_t>(std::min(distance, kResidualSteps - 1))]) return code;
    return std::clamp(code + (target > 256 * code ? 1 : -1), -8, 7);
  }

  std::vector<std::uint32_t> thresholds_;
  MutationRule rule_;
};

TEST_F(MutateResidual, EqualsTheRuleForEveryCodeAndTarget) {
  for (std::int32_t code = -8; code <= 7; ++code) {
    for (std::int32_t target = -32768; target <= 32767; target += 7) {
      const auto entry = static_cast<std::size_t>(std::min(std::abs(target - 256 * code), kResidualSteps - 1));
      for (const std::uint32_t word : {0u, thresholds_[entry] - 1, thresholds_[entry], 0xFFFFFFFFu}) {
        ASSERT_EQ(rule_(code, target, word), expected(code, target, word)) << code << " " << target << " " << word;
      }
    }
  }
}

TEST_F(MutateResidual, NeverLeavesAnExactWeight) {
  std::fill(thresholds_.begin(), thresholds_.end(), 0xFFFFFFFFu);
  for (std::int32_t code = -8; code <= 7; ++code) EXPECT_EQ(rule_(code, 256 * code, 0), code);
}

TEST_F(MutateResidual, MovesTowardsTheTargetAndStaysOnTheGrid) {
  std::fill(thresholds_.begin(), thresholds_.end(), 0xFFFFFFFFu);
  EXPECT_EQ(rule_(2, 2 * 256 + 1, 0), 3);
  EXPECT_EQ(rule_(2, 2 * 256 - 1, 0), 1);
  EXPECT_EQ(rule_(7, 32767, 0), 7);
  EXPECT_EQ(rule_(-8, -32768, 0), -8);
  EXPECT_EQ(rule_(7, -32768, 0), 6);
}

}  // namespace
}  // namespace qnudge
