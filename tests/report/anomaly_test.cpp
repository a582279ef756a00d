// SPDX-License-Identifier: MIT
#include "qnudge/report/anomaly.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "qnudge/core/error.hpp"
#include "qnudge/report/series_score.hpp"

namespace qnudge {
namespace {

using Errors = std::vector<std::int64_t>;
using Labels = std::vector<std::int32_t>;

/// F1 by its textbook definition.
double naive_f1(const Errors& errors, const Labels& labels, std::int64_t threshold) {
  double tp = 0, flagged = 0, anomalous = 0;
  for (std::size_t i = 0; i < errors.size(); ++i) {
    tp += errors[i] >= threshold && labels[i];
    flagged += errors[i] >= threshold;
    anomalous += labels[i];
  }
  if (tp == 0) return 0;
  const double precision = tp / flagged, recall = tp / anomalous;
  return 2 * precision * recall / (precision + recall);
}

TEST(Threshold, IsTheBestOfAllErrorsAndTheHighestOfEquals) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const std::size_t n = 1 + random() % 30;
    Errors errors;
    Labels labels;
    for (std::size_t i = 0; i < n; ++i) {
      labels.push_back(random() % 3 == 0);
      errors.push_back(static_cast<std::int64_t>(random() % 12) + (labels.back() ? 4 : 0));
    }
    const ChosenThreshold chosen = choose_threshold(errors, labels);
    const std::set<std::int64_t> distinct(errors.begin(), errors.end());
    ASSERT_TRUE(distinct.contains(chosen.threshold));
    EXPECT_NEAR(chosen.counts.f1(), naive_f1(errors, labels, chosen.threshold), 1e-12);
    for (const std::int64_t other : distinct) {
      const double f1 = naive_f1(errors, labels, other);
      EXPECT_GE(chosen.counts.f1(), f1 - 1e-12);
      if (other <= chosen.threshold) continue;
      EXPECT_LT(f1, chosen.counts.f1() - 1e-12) << "a higher one is as good";
    }
    const FlagCounts counts = count_flags(labels, flags(errors, chosen.threshold));
    EXPECT_EQ(counts.true_positives, chosen.counts.true_positives);
    EXPECT_EQ(counts.false_positives, chosen.counts.false_positives);
    EXPECT_EQ(counts.false_negatives, chosen.counts.false_negatives);
  }
}

TEST(Threshold, WithoutAnomaliesFlagsAsLittleAsCanBe) {
  const ChosenThreshold chosen = choose_threshold(Errors{3, 9, 9, 1}, Labels{0, 0, 0, 0});
  EXPECT_EQ(chosen.threshold, 9);
  EXPECT_EQ(chosen.counts.f1(), 0);
  EXPECT_EQ(FlagCounts{}.f1(), 0);
  EXPECT_EQ(FlagCounts{}.precision(), 0);
  EXPECT_EQ(FlagCounts{}.recall(), 0);
  EXPECT_THROW(choose_threshold({}, {}), Error);
  EXPECT_THROW(choose_threshold(Errors{1}, Labels{0, 1}), Error);
}

TEST(Threshold, ScoreNamesWhatItIsMadeOf) {
  const Errors errors = {8, 1, 7, 2};
  const Score score = f1_score(errors, Labels{1, 1, 0, 0}, 7, 2, -7);
  EXPECT_EQ(score.metric, "f1");
  EXPECT_EQ(score.n, 4);
  EXPECT_EQ(score.value, 0.5);
  EXPECT_EQ(score.detection->precision, 0.5);
  EXPECT_EQ(score.detection->recall, 0.5);
  EXPECT_EQ(score.detection->anomalous, 2);
  EXPECT_NEAR(score.detection->best_threshold_f1, 2.0 / 3, 1e-15);
  EXPECT_EQ(score.detection->threshold, 3.5 / 2048 / 2048);
  EXPECT_EQ(score.detection->squared_error, 18.0 / 8 / 2048 / 2048);
}

/// n steps in blocks of `length`; labels alternate between stretches.
struct Steps {
  Labels labels, blocks;
  explicit Steps(int n, int length) {
    for (int i = 0; i < n; ++i) labels.push_back(i / 25 % 4 == 0), blocks.push_back(i / length);
  }
};

TEST(PairedF1, IsNothingForEqualFlags) {
  const Steps s(1000, 100);
  const PairedInterval i = paired_f1_interval(s.labels, s.labels, s.labels, s.blocks, 1);
  EXPECT_EQ(i.difference, 0);
  EXPECT_EQ(i.low, 0);
  EXPECT_EQ(i.high, 0);
  EXPECT_EQ(i.p_value, 1);
  EXPECT_EQ(i.gained + i.lost, 0);
}

TEST(PairedF1, SeesAClearDifferenceAndSwapsItsSign) {
  const Steps s(4000, 100);
  Labels none(4000, 0);
  const PairedInterval a = paired_f1_interval(s.labels, s.labels, none, s.blocks, 1);
  EXPECT_EQ(a.difference, 1);
  EXPECT_EQ(a.gained, 1000);
  EXPECT_EQ(a.lost, 0);
  EXPECT_GT(a.low, 0.99);
  EXPECT_LT(a.p_value, 0.01);
  const PairedInterval b = paired_f1_interval(s.labels, none, s.labels, s.blocks, 1);
  EXPECT_EQ(b.difference, -1);
  EXPECT_LT(b.high, -0.99);
}

TEST(PairedF1, IsWiderWhereErrorsComeInBlocks) {
  std::mt19937 random(3);
  const Steps s(8000, 500);
  Labels scattered = s.labels, clustered = s.labels;
  for (int i = 0; i < 8000; ++i) {
    if (random() % 8 == 0) scattered[static_cast<std::size_t>(i)] ^= 1;
    if (i % 4000 < 500) clustered[static_cast<std::size_t>(i)] ^= 1;  // as many, but in two blocks
  }
  const PairedInterval narrow = paired_f1_interval(s.labels, scattered, s.labels, s.blocks, 5);
  const PairedInterval wide = paired_f1_interval(s.labels, clustered, s.labels, s.blocks, 5);
  EXPECT_GT(wide.high - wide.low, 3 * (narrow.high - narrow.low));
}

TEST(PairedF1, IsTheSameForTheSameSeedAndCoversTheTruth) {
  // Blocks whose flags are right with probability 0.8 or 0.7: the true difference is known from a long series.
  const auto flagged = [](std::mt19937& random, const Labels& labels, int right) {
    Labels flags = labels;
    for (auto& f : flags) f ^= static_cast<int>(random() % 100) >= right;
    return flags;
  };
  std::mt19937 random(11);
  const Steps large(400000, 500);
  const double truth = count_flags(large.labels, flagged(random, large.labels, 80)).f1() -
                       count_flags(large.labels, flagged(random, large.labels, 70)).f1();
  int covered = 0;
  for (int round = 0; round < 40; ++round) {
    const Steps s(3000, 50);
    const Labels first = flagged(random, s.labels, 80), second = flagged(random, s.labels, 70);
    const PairedInterval i = paired_f1_interval(s.labels, first, second, s.blocks, 9);
    EXPECT_EQ(i.low, paired_f1_interval(s.labels, first, second, s.blocks, 9).low);
    covered += i.low <= truth && truth <= i.high;
  }
  EXPECT_GE(covered, 34) << "of 40 intervals of 95 %";
  EXPECT_THROW(paired_f1_interval(Labels{1}, Labels{1}, Labels{1}, Labels{}, 1), Error);
  EXPECT_THROW(paired_f1_interval(Labels{}, Labels{}, Labels{}, Labels{}, 1), Error);
}

}  // namespace
}  // namespace qnudge
