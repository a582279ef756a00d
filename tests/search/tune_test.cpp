// SPDX-License-Identifier: MIT
#include "qnudge/search/tune.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/fixed_point.hpp"
#include "qnudge/search/run_folder.hpp"
#include "support/message_of.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::message_of;
using test::TemporaryFolder;
using test::ToyProblem;
using testing::HasSubstr;

const char* const kResultFiles[] = {"tuned.onnx", "sensitivity.json", "history.jsonl"};

void expect_same_results(const std::filesystem::path& a, const std::filesystem::path& b, const std::string& what) {
  for (const char* name : kResultFiles) {
    EXPECT_FALSE(contents(a / name).empty()) << name;
    EXPECT_EQ(contents(a / name), contents(b / name)) << what << ": " << name;
  }
}

TEST(Tune, ImprovesTheFitnessAndWritesEveryFile) {
  TemporaryFolder folder;
  ToyProblem toy;
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_EQ(r.stop_reason, "done");
  EXPECT_EQ(r.layers.size(), 3u);
  EXPECT_EQ(r.evaluations, 3 * (1 + 6 * 6));
  EXPECT_EQ(r.candidate_images, r.evaluations * 60);
  EXPECT_EQ(r.float_test.correct, 80) << "labels are the float model's own";
  if (r.gate_kept) {
    EXPECT_GT(r.tuned.fitness.correct, r.nearest.fitness.correct);
  }
  for (const LayerResult& layer : r.layers) EXPECT_GE(layer.best_fitness, layer.start_fitness);
  for (const char* name : {"config.resolved.json", "splits.json", "reference.bin", "sensitivity.json", "history.jsonl",
                           "progress.json", "checkpoint.bin", "tuned.onnx"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / "run" / name)) << name;
  }
  EXPECT_THAT(contents(folder / "run/history.jsonl"), testing::Not(HasSubstr("seconds")));
}

TEST(Tune, SameBytesOnEveryBackendThreadCountTileAndChunk) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "expected");
  int run = 0;
  const auto compare = [&](std::unique_ptr<Backend> backend, std::int64_t chunk, const std::string& what) {
    toy.backend = std::move(backend);
    toy.config.search.chunk = chunk;
    const auto path = folder / std::to_string(run++);
    toy.tune(path);
    expect_same_results(folder / "expected", path, what);
  };
  compare(make_reference_backend(), 0, "reference backend");
  compare(make_host_backend({.threads = 2, .tile = 4}), 0, "two threads");
  compare(make_host_backend({.threads = 3, .tile = 1}), 4, "chunks of four");
  compare(make_host_backend({.threads = 1, .vendor_kernels = false}), 1, "own kernels");
}

TEST(Tune, AnotherSeedGivesAnotherResult) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "a");
  toy.config.seed = 2;
  toy.tune(folder / "b");
  EXPECT_NE(contents(folder / "a/history.jsonl"), contents(folder / "b/history.jsonl"));
}

/// Stops the run when the mailbox has moved a given number of times.
class InterruptingObserver : public test::SilentObserver {
 public:
  InterruptingObserver(StopFlag& stop, int layers) : stop_(stop), layers_(layers) {}
  void layer_started(int, int, const std::string&, std::int64_t, const Mailbox&) override {
    if (layers_-- == 0) stop_ = true;
  }
  void layer_abandoned() override { ++abandoned; }
  int abandoned = 0;

 private:
  StopFlag& stop_;
  int layers_;
};

TEST(Tune, InterruptedAtEveryLayerAndResumedEndsInTheSameBytes) {
  for (const std::string mutation : {"uniform", "residual"}) {
    for (const std::string start : {"nearest", "bias"}) {
      TemporaryFolder folder;
      ToyProblem toy;
      toy.config.search.mutation = mutation;
      toy.config.search.start = start;
      toy.tune(folder / "expected");
      for (int layer = 0; layer < 3; ++layer) {
        const auto path = folder / ("at" + std::to_string(layer));
        toy.stop = false;
        InterruptingObserver observer(toy.stop, layer);
        const std::string message = message_of([&] { tune(toy.request(path), observer); }, ErrorKind::interrupted);
        EXPECT_THAT(message, HasSubstr("--resume"));
        EXPECT_EQ(observer.abandoned, 1) << "its mailbox is gone";
        toy.tune(path, true);
        expect_same_results(folder / "expected", path, "interrupted in layer " + std::to_string(layer));
      }
    }
  }
}

TEST(Tune, HalfActivationsGiveTheSameBytesForAnyThreadsAndChunksAndAfterAnInterruption) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.quant.activations = "half";
  toy.backend = make_host_backend({.threads = 1, .tile = 4});
  const TuneResult expected = toy.tune(folder / "expected");
  EXPECT_TRUE(expected.network.half());
  EXPECT_GT(expected.evaluations, 3);
  EXPECT_THAT(contents(folder / "expected/sensitivity.json"), HasSubstr("\"rest_bits\": 16"));
  toy.backend = make_host_backend({.threads = 3, .tile = 4});
  toy.config.search.chunk = 4;
  toy.tune(folder / "chunks");
  expect_same_results(folder / "expected", folder / "chunks", "threads and chunks");
  InterruptingObserver observer(toy.stop, 1);
  EXPECT_THAT(message_of([&] { tune(toy.request(folder / "cut"), observer); }, ErrorKind::interrupted),
              HasSubstr("--resume"));
  toy.tune(folder / "cut", true);
  expect_same_results(folder / "expected", folder / "cut", "interrupted");
}

/// A backend that throws in the middle: what a crash leaves behind is the last checkpoint and a longer history.
TEST(Tune, CrashBetweenHistoryAndCheckpointIsCutBack) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "expected");
  toy.stop = false;
  InterruptingObserver observer(toy.stop, 1);
  const auto path = folder / "run";
  message_of([&] { tune(toy.request(path), observer); }, ErrorKind::interrupted);
  std::ofstream(path / "history.jsonl", std::ios::app) << "{\"written\": \"but not accounted for\"}\n{\"ha";
  toy.tune(path, true);
  expect_same_results(folder / "expected", path, "history longer than the checkpoint knows");
}

TEST(Tune, CheckpointsWithinALayerDoNotChangeTheResult) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "a");
  toy.config.checkpoint_generations = 2;
  toy.tune(folder / "b");
  expect_same_results(folder / "a", folder / "b", "pauses every two generations");
}

TEST(Tune, FinishedRunResumesToTheSameResult) {
  TemporaryFolder folder;
  ToyProblem toy;
  const TuneResult first = toy.tune(folder / "run");
  const std::string tuned = contents(folder / "run/tuned.onnx");
  const TuneResult again = toy.tune(folder / "run", true);
  EXPECT_EQ(contents(folder / "run/tuned.onnx"), tuned);
  EXPECT_EQ(again.evaluations, first.evaluations);
  EXPECT_EQ(again.tuned.test.predicted, first.tuned.test.predicted);
}

TEST(Tune, RecoveredStopsAtTheFirstLayerThatIsGoodEnough) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.stop.rule = "recovered";
  toy.config.stop.tolerance = 1.0;
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_EQ(r.stop_reason, "recovered");
  EXPECT_EQ(r.layers.size(), 1u);
}

TEST(Tune, BudgetKeepsTheRestAtEightBits) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.quant.grid.bits = 2;
  toy.config.stop.rule = "budget";
  toy.config.stop.tolerance = 0.0;
  const TuneResult strict = toy.tune(folder / "strict");
  ASSERT_EQ(strict.stop_reason, "budget");
  for (const Layer& layer : strict.network.layers) {
    const bool kept = std::any_of(strict.layers.begin(), strict.layers.end(),
                                  [&](const LayerResult& l) { return l.name == layer.name && l.bits == 2; });
    EXPECT_EQ(layer.params.bits, kept ? 2 : 8) << layer.name;
  }
  toy.config.stop.tolerance = 1.0;
  const TuneResult loose = toy.tune(folder / "loose");
  EXPECT_EQ(loose.stop_reason, "done");
  for (const Layer& layer : loose.network.layers) EXPECT_EQ(layer.params.bits, 2) << layer.name;
  EXPECT_LT(loose.size_bytes, strict.size_bytes);
}

TEST(Tune, BudgetKeepsTheRestInHalfPrecisionBetweenHalves) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.quant.activations = "half";
  toy.config.quant.grid.bits = 2;
  toy.config.stop.rule = "budget";
  toy.config.stop.tolerance = 0.0;
  const TuneResult r = toy.tune(folder / "run");
  ASSERT_EQ(r.stop_reason, "budget");
  std::int64_t halves = 0;
  for (const Layer& layer : r.network.layers) halves += layer.params.bits == kHalfBits ? 1 : 0;
  EXPECT_GT(halves, 0);
  EXPECT_EQ(r.start.test.correct, r.float_test.correct) << "nothing is quantised at the start";
}

TEST(Tune, WallClockLimitSavesTheBestSoFar) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.generations = 1'000'000;
  toy.config.stop.seconds = 0.4;
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_EQ(r.stop_reason, "seconds");
  EXPECT_TRUE(std::filesystem::exists(folder / "run/tuned.onnx"));
  EXPECT_GE(r.layers.at(0).best_fitness, r.layers.at(0).start_fitness);
}

TEST(Tune, GateDiscardsAResultThatIsWorseThanItsStart) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.data.fitness = 5;  // five images: the search can only overfit
  toy.config.search.generations = 40;
  toy.config.search.rate = 0.3;
  toy.config.search.start = "bias";
  const TuneResult r = toy.tune(folder / "gated");
  toy.config.search.gate = false;
  const TuneResult ungated = toy.tune(folder / "ungated");
  const bool worse = ungated.tuned.gate.correct < r.start.gate.correct || ungated.tuned.gate.kl > r.start.gate.kl;
  EXPECT_EQ(r.gate_kept, !worse);
  ASSERT_TRUE(worse) << "the case must exercise the gate";
  EXPECT_EQ(r.tuned.test.predicted, r.start.test.predicted);
  EXPECT_NE(contents(folder / "gated/tuned.onnx"), contents(folder / "ungated/tuned.onnx"));
}

TEST(Tune, AGateOfTestImagesIsJudgedOnThoseImages) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.data.calibration = toy.config.data.fitness;
  toy.config.search.gate = false;  // the gate's images then change nothing else
  const TuneResult usual = toy.tune(folder / "train");
  toy.config.data.gate_from = "test";
  toy.config.data.gate = 30;
  const TuneResult r = toy.tune(folder / "test");
  ASSERT_EQ(r.splits.gate.size(), 30u);
  EXPECT_EQ(r.splits.test.size(), usual.splits.test.size() - 30);
  EXPECT_EQ(r.float_gate.correct, 30) << "labels are the float model's own";
  for (std::size_t i = 0; i < 30; ++i) {
    const auto image = static_cast<std::size_t>(r.splits.gate[i]);
    EXPECT_EQ(r.tuned.gate.predicted[i], usual.tuned.test.predicted[image]) << i;
    EXPECT_EQ(r.gate_labels[i], r.float_gate.predicted[i]) << i;
  }
  EXPECT_THAT(contents(folder / "test/splits.json"), HasSubstr("\"gate_of_test\""));
}

TEST(Tune, BiasStartMeetsTheFloatMeans) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.start = "bias";
  toy.config.search.generations = 1;
  const TuneResult r = toy.tune(folder / "run");
  ASSERT_TRUE(r.bias.has_value());
  EXPECT_LT(r.bias->gate.kl, r.nearest.gate.kl);
}

TEST(Tune, RoundingAloneDoesNotWaitForBiases) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.strategy = "none";
  toy.config.search.start = "nearest";
  const TuneResult r = toy.tune(folder / "nearest");
  EXPECT_FALSE(r.bias.has_value());
  EXPECT_EQ(r.tuned.test.predicted, r.nearest.test.predicted);
  toy.config.search.start = "bias";
  EXPECT_TRUE(toy.tune(folder / "bias").bias.has_value());
}

TEST(Tune, PaperProtocolScoresOnTestImages) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.protocol = "paper";
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_TRUE(r.splits.fitness_from_test);
  for (std::int64_t i : r.splits.fitness) EXPECT_LT(i, toy.test->size());
}

TEST(Tune, TwoRunsInOneFolderExcludeEachOther) {
  TemporaryFolder folder;
  ToyProblem toy, other;
  class Second : public test::SilentObserver {
   public:
    explicit Second(std::function<void()> action) : action_(std::move(action)) {}
    void layer_started(int position, int, const std::string&, std::int64_t, const Mailbox&) override {
      if (position == 0) action_();
    }

   private:
    std::function<void()> action_;
  } observer([&] {
    EXPECT_THAT(message_of([&] { other.tune(folder / "run", true); }, ErrorKind::usage), HasSubstr("another process"));
  });
  tune(toy.request(folder / "run"), observer);
}

TEST(Tune, NamesThatTheModelDoesNotHaveAreErrors) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.skip = {"conv9"};
  EXPECT_THAT(message_of([&] { toy.tune(folder / "run"); }, ErrorKind::usage), HasSubstr("'conv1', 'conv2', 'fc'"));
  toy.config.search.skip = {"conv2"};
  EXPECT_EQ(toy.tune(folder / "skip").layers.size(), 2u);
}

TEST(Sensitivity, RanksByAccuracyThenOrdinal) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.sensitivity_bits = 2;
  test::SilentObserver observer;
  const Sensitivity s = analyse_sensitivity(toy.request(folder / "run"), observer);
  ASSERT_EQ(s.entries.size(), 3u);
  for (std::size_t i = 1; i < s.entries.size(); ++i) {
    EXPECT_TRUE(s.entries[i - 1].correct > s.entries[i].correct ||
                (s.entries[i - 1].correct == s.entries[i].correct && s.entries[i - 1].layer < s.entries[i].layer));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "run/checkpoint.bin"));
}

}  // namespace
}  // namespace qnudge
