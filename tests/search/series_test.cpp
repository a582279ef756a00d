// SPDX-License-Identifier: MIT
// Whole runs on an autoencoder of time series.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/search/setup.hpp"
#include "support/series_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::SeriesProblem;
using test::TemporaryFolder;
using testing::HasSubstr;

std::int64_t sum(const std::vector<std::int64_t>& errors) {
  return std::accumulate(errors.begin(), errors.end(), std::int64_t{0});
}

class SeriesRun : public testing::TestWithParam<const char*> {
 protected:
  SeriesRun() { toy_.config.search.strategy = GetParam(); }
  SeriesProblem toy_;
  TemporaryFolder folder_;
};

TEST_P(SeriesRun, LowersTheErrorAndFillsEverySet) {
  toy_.config.search.gate = false;
  const TuneResult r = toy_.tune(folder_ / "run");
  EXPECT_EQ(r.splits.threshold.size(), r.threshold_labels.size());
  EXPECT_EQ(r.test_blocks.size(), r.test_labels.size());
  for (const ModelScores* scores : {&r.nearest, &r.start, &r.tuned}) {
    EXPECT_EQ(scores->fitness.errors.size(), r.fitness_labels.size());
    EXPECT_EQ(scores->gate.errors.size(), r.gate_labels.size());
    EXPECT_EQ(scores->test.errors.size(), r.test_labels.size());
    EXPECT_EQ(scores->threshold.errors.size(), r.threshold_labels.size());
  }
  EXPECT_EQ(r.float_test.errors.size(), r.test_labels.size());
  EXPECT_TRUE(r.float_test.predicted.empty());
  EXPECT_LT(sum(r.float_fitness.errors), sum(r.nearest.fitness.errors));
  EXPECT_LT(sum(r.tuned.fitness.errors), sum(r.nearest.fitness.errors));
  for (const LayerResult& layer : r.layers) EXPECT_GE(layer.best_fitness, layer.start_fitness);
}

TEST_P(SeriesRun, SameBytesOnEveryBackendThreadCountTileAndChunk) {
  toy_.tune(folder_ / "expected");
  int run = 0;
  const auto compare = [&](std::unique_ptr<Backend> backend, std::int64_t chunk, const std::string& what) {
    toy_.backend = std::move(backend);
    toy_.config.search.chunk = chunk;
    const auto path = folder_ / std::to_string(run++);
    toy_.tune(path);
    for (const char* name : {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin"}) {
      EXPECT_EQ(contents(path / name), contents(folder_ / "expected" / name)) << what << ": " << name;
    }
  };
  compare(make_reference_backend(), 0, "reference backend");
  compare(make_host_backend({.threads = 2, .tile = 4}), 4, "two threads");
  compare(make_host_backend({.threads = 1, .vendor_kernels = false}), 1, "own kernels");
}

INSTANTIATE_TEST_SUITE_P(Strategies, SeriesRun, testing::Values("layer", "channel", "gram"));

TEST(Series, ResumesFromItsReferenceAndCheckpoint) {
  const TemporaryFolder folder;
  SeriesProblem toy;
  toy.config.search.order = "sensitivity";
  const TuneResult first = toy.tune(folder / "run");
  const TuneResult again = toy.tune(folder / "run", true);
  EXPECT_EQ(again.tuned.test.errors, first.tuned.test.errors);
  EXPECT_EQ(again.float_threshold.errors, first.float_threshold.errors);
  ASSERT_FALSE(again.layers.empty());
  EXPECT_EQ(again.layers[0].sensitivity, first.layers[0].sensitivity);
}

TEST(Series, SensitivityRanksByErrorLowestFirst) {
  const TemporaryFolder folder;
  SeriesProblem toy;
  toy.config.search.sensitivity_bits = 2;
  test::SilentObserver observer;
  const Sensitivity s = analyse_sensitivity(toy.request(folder / "run"), observer);
  ASSERT_EQ(s.entries.size(), 2u);
  ASSERT_TRUE(s.entries[0].squared_error && s.entries[1].squared_error);
  EXPECT_GT(*s.entries[0].squared_error, 0);
  EXPECT_LE(*s.entries[0].squared_error, *s.entries[1].squared_error);
  const auto json = nlohmann::json::parse(contents(folder / "run/sensitivity.json"));
  EXPECT_EQ(json["search_order"][0]["squared_error"], *s.entries[0].squared_error);
  EXPECT_FALSE(json["search_order"][0].contains("accuracy"));
}

TEST(Series, TheGateKeepsTheStartWhereTheErrorRises) {
  const TemporaryFolder folder;
  SeriesProblem toy;
  bool seen = false;
  for (std::uint64_t seed = 1; seed <= 20 && !seen; ++seed) {
    toy.config.seed = seed;
    toy.config.data.fitness = 1;  // too few windows to say much
    toy.config.search.start = "descent";
    test::SilentObserver observer;
    const TuneResult r = tune(toy.request(folder / std::to_string(seed)), observer);
    if (r.gate_kept) {
      EXPECT_LE(sum(r.tuned.gate.errors), sum(r.start.gate.errors));
      continue;
    }
    seen = true;
    EXPECT_EQ(r.tuned.test.errors, r.start.test.errors);
    EXPECT_THAT(observer.notes.back(), HasSubstr("times the start's reconstruction error"));
  }
  EXPECT_TRUE(seen) << "no seed made the gate speak";
}

TEST(Series, StopRulesFollowTheError) {
  const TemporaryFolder folder;
  SeriesProblem toy;
  toy.config.stop = {.rule = "recovered", .tolerance = 1e9};
  EXPECT_EQ(toy.tune(folder / "recovered").layers.size(), 1u) << "any error is within that tolerance";
  toy.config.stop = {.rule = "budget", .tolerance = 0};
  toy.config.search.order = "sensitivity";
  const TuneResult r = toy.tune(folder / "budget");
  EXPECT_EQ(r.stop_reason, "budget");
  EXPECT_THAT(r.notes.back(), HasSubstr("would raise the float model's error by"));
}

TEST(Series, RefusesModelsAndSeriesThatDoNotFit) {
  const TemporaryFolder folder;
  const auto refusal = [&](SeriesProblem& toy, ErrorKind kind) -> std::string {
    try {
      toy.tune(folder / "run");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      return error.what();
    }
    return "nothing";
  };
  SeriesProblem normal;
  normal.test = make_series_set({test::wave_series(300, 5, false, 9)}, normal.series, false, "normal waves");
  EXPECT_THAT(refusal(normal, ErrorKind::input), HasSubstr("none of the 148 windows that choose the threshold"));
  SeriesProblem classifier;
  Graph& graph = classifier.graph;
  graph.output -= 3;  // what is left gives back more channels than went in
  graph.nodes.resize(static_cast<std::size_t>(graph.output) + 1);
  EXPECT_THAT(refusal(classifier, ErrorKind::input), HasSubstr("is judged by its reconstruction"));
  SeriesProblem wide;
  wide.series.window = 5;
  wide.train = make_series_set({test::wave_series(200, 5, false, 1)}, wide.series, true, "wide");
  EXPECT_THAT(refusal(wide, ErrorKind::input), HasSubstr("samples of 5x1x5"));
}

TEST(Series, PaperProtocolScoresOnTestWindows) {
  const TemporaryFolder folder;
  SeriesProblem toy;
  toy.config.protocol = "paper";
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_TRUE(r.splits.fitness_from_test);
  EXPECT_LT(sum(r.tuned.fitness.errors), sum(r.nearest.fitness.errors));
}

}  // namespace
}  // namespace qnudge
