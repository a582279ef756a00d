// SPDX-License-Identifier: MIT
#include "qnudge/report/ladder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using testing::HasSubstr;

LadderRun run_of(const char* rung, std::uint64_t seed, std::vector<bool> right) {
  LadderRun run{.rung = rung, .bits = 3, .seed = seed, .images = {}, .right = std::move(right)};
  for (std::size_t i = 0; i < run.right.size(); ++i) run.images.push_back(static_cast<std::int64_t>(10 * i));
  run.seconds = static_cast<double>(seed);
  run.evaluations = 100;
  return run;
}

TEST(MeanInterval, EqualsTheFormulaAndTheSpecialCaseOfOnePair) {
  const std::vector<double> d = {1, 0, 0, -1, 1, 0, 1, 0};
  const MeanInterval interval = mean_interval(d);
  EXPECT_EQ(interval.n, 8);
  EXPECT_DOUBLE_EQ(interval.mean, 0.25);
  const double variance = (3 * 0.75 * 0.75 + 4 * 0.25 * 0.25 + 1.25 * 1.25) / 8;
  EXPECT_NEAR(interval.high - interval.mean, 1.959963984540054 * std::sqrt(variance / 8), 1e-12);
  const PairedInterval paired = paired_interval(3, 1, 8);
  EXPECT_NEAR(interval.low, paired.low, 1e-12) << "0 and +-1 give McNemar's interval";
  EXPECT_NEAR(interval.high, paired.high, 1e-12);
  EXPECT_THROW(mean_interval({}), Error);
}

TEST(Ladder, AveragesSeedsAndPairsThemImageByImage) {
  const std::vector<LadderRow> rows = make_ladder({
      run_of("nearest", 1, {true, false, false, false}),
      run_of("best", 1, {true, true, false, false}),
      run_of("nearest", 2, {false, false, false, false}),
      run_of("best", 2, {true, true, true, false}),
      run_of("best", 3, {true, true, true, true}),
  });
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].rung, "nearest");
  EXPECT_FALSE(rows[0].over_nearest.has_value());
  const LadderRow& best = rows[1];
  EXPECT_EQ(best.accuracy, (std::vector<double>{0.5, 0.75, 1.0}));
  EXPECT_DOUBLE_EQ(best.mean, 0.75);
  EXPECT_DOUBLE_EQ(*best.deviation, 0.25);
  EXPECT_DOUBLE_EQ(best.seconds, 2);
  EXPECT_DOUBLE_EQ(best.evaluations, 100);
  ASSERT_TRUE(best.over_nearest.has_value());
  EXPECT_EQ(best.over_nearest->n, 4) << "images, not images times seeds";
  const MeanInterval expected = mean_interval(std::vector<double>{0.5, 1.0, 0.5, 0.0});
  EXPECT_DOUBLE_EQ(best.over_nearest->mean, expected.mean);
  EXPECT_DOUBLE_EQ(best.over_nearest->low, expected.low);
  EXPECT_FALSE(best.over_descent.has_value());
}

TEST(Ladder, SingleSeedsHaveNoDeviationAndOtherImagesNoDifference) {
  LadderRun other = run_of("best", 1, {true, true});
  other.images = {7, 8};
  const auto rows = make_ladder({run_of("nearest", 1, {true, false}), other});
  EXPECT_FALSE(rows[1].deviation.has_value());
  EXPECT_FALSE(rows[1].over_nearest.has_value());
  EXPECT_THROW(make_ladder({LadderRun{.rung = "empty", .images = {}, .right = {}}}), Error);
}

TEST(Ladder, IsWrittenAsTextMarkdownAndJson) {
  const auto rows =
      make_ladder({run_of("nearest", 1, {true, false, false, false}), run_of("best", 1, {true, true, true, false})});
  EXPECT_THAT(ladder_text(rows), HasSubstr("best        75.00 %"));
  EXPECT_THAT(ladder_text(rows), HasSubstr("+50.00 ("));
  EXPECT_THAT(ladder_markdown(rows), HasSubstr("| 3 | nearest | 25.00 % |"));
  const auto json = nlohmann::json::parse(ladder_json(rows));
  EXPECT_EQ(json[1]["minus_nearest"]["mean"], 0.5);
  EXPECT_TRUE(json[0]["minus_nearest"].is_null());
  EXPECT_TRUE(json[0]["deviation"].is_null());
}

}  // namespace
}  // namespace qnudge
