// SPDX-License-Identifier: MIT
// Whole runs of the closed forms and of the strategies by channel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::TemporaryFolder;
using test::ToyProblem;
using testing::HasSubstr;

struct Case {
  const char *strategy, *start, *mutation;
};

class ChannelWiseRun : public testing::TestWithParam<Case> {
 protected:
  ChannelWiseRun() { configure(toy_); }
  static void configure(ToyProblem& toy) {
    SearchConfig& s = toy.config.search;
    s.strategy = GetParam().strategy;
    s.start = GetParam().start;
    s.mutation = GetParam().mutation;
    s.order = "forward";
    s.positions = 7;
    s.gate = false;
    if (s.strategy == "channel") s.rate_end = 0.01;
  }
  static void expect_same(const std::filesystem::path& a, const std::filesystem::path& b, const std::string& what) {
    for (const char* name : {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin", "targets.bin"}) {
      EXPECT_FALSE(contents(a / name).empty()) << name;
      EXPECT_EQ(contents(a / name), contents(b / name)) << what << ": " << name;
    }
  }

  TemporaryFolder folder_;
  ToyProblem toy_;
};

TEST_P(ChannelWiseRun, SameBytesOnEveryBackendThreadCountAndTile) {
  toy_.tune(folder_ / "expected");
  int run = 0;
  const auto compare = [&](std::unique_ptr<Backend> backend, const std::string& what) {
    toy_.backend = std::move(backend);
    const auto path = folder_ / std::to_string(run++);
    toy_.tune(path);
    expect_same(folder_ / "expected", path, what);
  };
  compare(make_reference_backend(), "reference backend");
  compare(make_host_backend({.threads = 2, .tile = 4}), "two threads");
  compare(make_host_backend({.threads = 3, .tile = 1, .vendor_kernels = false}), "own kernels");
}

/// Stops the run at the start of a given layer.
class Interrupter : public test::SilentObserver {
 public:
  Interrupter(StopFlag& stop, int layer) : stop_(stop), layer_(layer) {}
  void layer_started(int, int, const std::string&, std::int64_t, const Mailbox&) override {
    if (layer_-- == 0) stop_ = true;
  }

 private:
  StopFlag& stop_;
  int layer_;
};

TEST_P(ChannelWiseRun, InterruptedAtEveryLayerAndResumedEndsInTheSameBytes) {
  toy_.tune(folder_ / "expected");
  for (int layer = 0; layer < 3; ++layer) {
    const auto path = folder_ / ("at" + std::to_string(layer));
    toy_.stop = false;
    Interrupter observer(toy_.stop, layer);
    EXPECT_THROW(tune(toy_.request(path), observer), Error);
    toy_.tune(path, true);
    expect_same(folder_ / "expected", path, "interrupted in layer " + std::to_string(layer));
  }
  toy_.config.checkpoint_generations = 2;
  toy_.tune(folder_ / "pauses");
  expect_same(folder_ / "expected", folder_ / "pauses", "pauses every two generations");
}

/// Stopped from another thread while the second layer is searched, wherever that catches it.
TEST_P(ChannelWiseRun, ResumesFromTheMiddleOfALayer) {
  toy_.tune(folder_ / "expected");
  class Stop : public test::SilentObserver {
   public:
    explicit Stop(StopFlag& stop) : stop_(stop) {}
    void layer_started(int position, int, const std::string&, std::int64_t, const Mailbox& mailbox) override {
      if (position == 1) {
        watcher_ = std::jthread([this, &mailbox](std::stop_token end) {
          while (!end.stop_requested() && mailbox.generation < 2) {
          }
          stop_ = true;
        });
      }
    }
    void layer_abandoned() override { watcher_ = {}; }
    void layer_finished(int, int, const std::string&, std::int64_t, std::int64_t) override { watcher_ = {}; }

   private:
    StopFlag& stop_;
    std::jthread watcher_;
  };
  ToyProblem fresh;
  configure(fresh);
  Stop observer(fresh.stop);
  try {
    tune(fresh.request(folder_ / "run"), observer);
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::interrupted);
  }
  fresh.tune(folder_ / "run", true);
  expect_same(folder_ / "expected", folder_ / "run", "stopped within a layer");
}

TEST_P(ChannelWiseRun, ImprovesItsOwnObjectiveAndTheFitOfTheNetwork) {
  const TuneResult r = toy_.tune(folder_ / "run");
  ASSERT_EQ(r.layers.size(), 3u);
  bool better = false;
  for (const LayerResult& layer : r.layers) {
    EXPECT_GE(layer.best_fitness, layer.start_fitness);
    better = better || layer.best_fitness > layer.start_fitness;
  }
  EXPECT_TRUE(better);
  EXPECT_LT(r.tuned.gate.kl, r.nearest.gate.kl);
  ASSERT_TRUE(r.bias.has_value()) << "the report always shows what bias correction alone does";
  if (std::string_view(GetParam().start) == "descent") {
    EXPECT_LT(r.start.gate.kl, r.bias->gate.kl);
  }
  const bool gram = std::string_view(GetParam().strategy) == "gram";
  EXPECT_EQ(r.evaluations, 3 * (6 * 6 + (gram ? 0 : 1))) << "the start itself is run on images";
  EXPECT_EQ(r.candidate_images, gram ? 0 : r.evaluations * 60);
}

INSTANTIATE_TEST_SUITE_P(All, ChannelWiseRun,
                         testing::Values(Case{"channel", "nearest", "uniform"}, Case{"channel", "bias", "residual"},
                                         Case{"channel", "descent", "residual"}, Case{"gram", "nearest", "uniform"},
                                         Case{"gram", "descent", "uniform"}),
                         [](const auto& test) {
                           return std::string(test.param.strategy) + "_" + test.param.start + "_" + test.param.mutation;
                         });

TEST(Descent, ServesAsStartOfTheStrategyByLayer) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.start = "descent";
  const TuneResult r = toy.tune(folder / "run");
  EXPECT_LT(r.start.gate.kl, r.bias->gate.kl);
  EXPECT_GT(r.evaluations, 0);
}

TEST(Descent, PlainRunsWriteNoTargets) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  EXPECT_FALSE(std::filesystem::exists(folder / "run/targets.bin"));
}

TEST(Descent, LayersBeyondTheMemoryLimitKeepTheirCodesAndSaySo) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.start = "descent";
  toy.config.search.strategy = "gram";
  toy.config.search.order = "forward";
  toy.config.search.gram_mib = 0;  // below what the reader accepts: no matrix fits
  test::SilentObserver observer;
  toy.stop = false;
  const TuneResult r = tune(toy.request(folder / "run"), observer);
  EXPECT_THAT(observer.notes, testing::Contains(HasSubstr("search.gram_mib = 0")));
  EXPECT_EQ(r.start.test.predicted, r.bias->test.predicted) << "only biases are left to correct";
  EXPECT_EQ(r.tuned.test.predicted, r.bias->test.predicted);
  EXPECT_EQ(r.layers.size(), 3u);
}

TEST(Descent, FewerRowsThanWeightsAreNoted) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.data.calibration = toy.config.data.fitness = 5;
  toy.config.search.start = "descent";
  toy.config.search.positions = 1;
  test::SilentObserver observer;
  toy.stop = false;
  EXPECT_NO_THROW(tune(toy.request(folder / "run"), observer));
  EXPECT_THAT(observer.notes, testing::Contains(HasSubstr("5 rows observed for 27 weights per channel")));
}

TEST(Descent, ConstantInputsAndDeadChannelsAreHarmless) {
  TemporaryFolder folder;
  ToyProblem toy;
  for (Node& node : toy.graph.nodes) {
    if (node.name == "conv1_bn") {
      std::fill(node.shift.begin(), node.shift.end(), -1e4f);  // ReLU lets nothing through: conv2 reads zeros
    }
  }
  for (const char* strategy : {"channel", "gram"}) {
    toy.config.search.start = "descent";
    toy.config.search.strategy = strategy;
    toy.config.search.order = "forward";
    EXPECT_NO_THROW(toy.tune(folder / strategy)) << strategy;
  }
}

TEST(Descent, CorruptedTargetsAreComputedAfresh) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.search.start = "descent";
  toy.tune(folder / "run");
  const std::string whole = contents(folder / "run/targets.bin");
  write_file_atomically(folder / "run/targets.bin", whole.substr(0, whole.size() / 2));
  EXPECT_NO_THROW(toy.tune(folder / "run", true));
  EXPECT_EQ(contents(folder / "run/targets.bin"), whole);
}

}  // namespace
}  // namespace qnudge
