// SPDX-License-Identifier: MIT
// Reports of runs on series.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qnudge/report/run_report.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

using Errors = std::vector<std::int64_t>;

Evaluation errors(Errors values) {
  Evaluation e;
  e.errors = std::move(values);
  return e;
}

/// Six test steps, of which the last three are anomalous and the model "tuned" finds two, "nearest" one.
TuneResult series_result() {
  TuneResult r;
  r.splits = {.calibration = {0}, .fitness = {0, 1}, .gate = {4}, .test = {10, 11, 12, 13, 14, 15}};
  r.fitness_labels = {0, 0};
  r.gate_labels = {0};
  r.threshold_labels = {0, 1, 0};
  r.test_labels = {0, 0, 0, 1, 1, 1};
  r.test_blocks = {0, 0, 0, 1, 1, 1};
  r.float_fitness.errors = {1, 3};
  r.float_gate.errors = {2};
  r.float_threshold.errors = {1, 9, 2};
  r.float_test.errors = {1, 2, 3, 9, 10, 11};
  r.nearest = {errors({4, 4}), errors({4}), errors({1, 2, 3, 8, 10, 3}), 0, errors({1, 9, 2})};
  r.start = r.nearest;
  r.tuned = {errors({2, 2}), errors({3}), errors({1, 2, 3, 9, 10, 3}), 1, errors({1, 9, 2})};
  r.stop_reason = "done";
  r.network.nodes.resize(1);
  r.network.nodes[0].shape = {2, 1, 1};
  r.network.nodes[0].exponent = 4;  // a step of the grid is 1
  return r;
}

RunReport report_of(const TuneResult& result, const std::string& protocol = "held_out") {
  ReportContext context;
  context.protocol = protocol;
  context.seed = 3;
  return make_run_report(result, context, true);
}

TEST(SeriesReport, ScoresEveryModelAtItsOwnThreshold) {
  const json j = json::parse(report_json(report_of(series_result())));
  const json& results = j["results"];
  EXPECT_EQ(results["float"]["test"]["metric"], "f1");
  EXPECT_EQ(results["float"]["test"]["value"], 1.0);
  EXPECT_EQ(results["tuned"]["test"]["value"], 0.8) << "two of three, no false alarm";
  EXPECT_EQ(results["tuned"]["test"]["recall"], 2.0 / 3);
  EXPECT_EQ(results["tuned"]["test"]["precision"], 1.0);
  EXPECT_EQ(results["nearest"]["test"]["value"], 0.5);
  EXPECT_NEAR(results["nearest"]["test"]["best_threshold_f1"], 6.0 / 7, 1e-15) << "at 3: one false alarm, all found";
  EXPECT_EQ(results["tuned"]["threshold"]["n"], 3);
  EXPECT_EQ(results["tuned"]["threshold"]["threshold"], 4.5) << "9 over the two values of a window";
  EXPECT_EQ(results["tuned"]["fitness"]["metric"], "squared_error");
  EXPECT_EQ(results["tuned"]["fitness"]["value"], 1.0);
  EXPECT_EQ(results["nearest"]["gate"]["value"], 2.0);
  EXPECT_NEAR(j["interval"]["tuned_minus_nearest"]["difference"], 0.3, 1e-15);
  EXPECT_EQ(j["interval"]["tuned_minus_nearest"]["gained"], 1);
  EXPECT_NEAR(j["recovered"]["tuned"], 0.6, 1e-15);
  EXPECT_FALSE(j["leaky"]);
}

TEST(SeriesReport, TextSaysWhichF1IsWhich) {
  const std::string text = report_text(report_of(series_result()));
  for (const char* part : {"F1 test (n = 6)", "F1 threshold (n = 3)", "best-threshold F1 on test", "80.00 %", "85.71 %",
                           "as the literature reports it", "of the F1 that nearest rounding lost"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("top-1")));
  EXPECT_THAT(text, Not(HasSubstr("LEAKY")));
}

TEST(SeriesReport, PaperProtocolIsLeakyAndShowsWhatWasHeldBack) {
  TuneResult result = series_result();
  result.splits.fitness = {10, 13};
  result.splits.fitness_from_test = true;
  const RunReport report = report_of(result, "paper");
  const json j = json::parse(report_json(report));
  EXPECT_TRUE(j["leaky"]);
  EXPECT_EQ(j["results"]["tuned"]["test_held_back"]["n"], 4);
  EXPECT_NEAR(j["results"]["tuned"]["test_held_back"]["value"], 2.0 / 3, 1e-15);
  EXPECT_EQ(j["interval"]["test_held_back"]["tuned_minus_nearest"]["n"], 4);
  EXPECT_THAT(report_text(report), HasSubstr("F1 test held back (n = 4)"));
  EXPECT_THAT(report_text(report), HasSubstr("F1 test, LEAKY (n = 6)"));
}

}  // namespace
}  // namespace qnudge
