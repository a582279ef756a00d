// SPDX-License-Identifier: MIT
// Whole runs of the closed forms and of the strategies by channel.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/gram.hpp"
#include "qnudge/search/setup.hpp"
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

TEST_P(ChannelWiseRun, AReferenceWithoutItsTargetsIsNotReplaced) {
  if (!needs_targets(toy_.config.search)) GTEST_SKIP() << "it has no targets";
  toy_.tune(folder_ / "given");
  const auto take_over = [&](const std::string& to, bool targets) {
    std::filesystem::create_directory(folder_ / to);
    std::filesystem::copy(folder_ / "given/reference.bin", folder_ / to / "reference.bin");
    if (targets) std::filesystem::copy(folder_ / "given/targets.bin", folder_ / to / "targets.bin");
  };
  take_over("same machine", false);
  toy_.tune(folder_ / "same machine");
  expect_same(folder_ / "given", folder_ / "same machine", "targets computed again");

  // Another machine: its float pass differs in the last bits.
  const auto tune_elsewhere = [&](const std::string& to) {
    TuneRequest request = toy_.request(folder_ / to);
    Graph graph = toy_.graph;
    for (Node& node : graph.nodes) {
      for (float& w : node.weights) w *= 1.001f;
    }
    request.float_pass = [&](std::int64_t count, const SampleReader& samples, const FloatObservation& observe) {
      return FloatExecutor(graph, 1).run(count, samples, observe);
    };
    test::SilentObserver observer;
    tune(request, observer);
  };
  take_over("both files", true);
  tune_elsewhere("both files");
  expect_same(folder_ / "given", folder_ / "both files", "reference and targets taken over");
  for (const bool damaged : {false, true}) {
    const std::string to = damaged ? "damaged" : "missing";
    take_over(to, false);
    if (damaged) write_file_atomically(folder_ / to / "targets.bin", std::string_view("what is this"));
    const std::string before = contents(folder_ / to / "reference.bin");
    try {
      tune_elsewhere(to);
      ADD_FAILURE() << "the given reference was replaced";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_THAT(error.what(), HasSubstr("targets.bin: is missing or damaged, and this machine computes other"));
    }
    EXPECT_EQ(contents(folder_ / to / "reference.bin"), before);
  }
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
  EXPECT_EQ(std::count_if(observer.notes.begin(), observer.notes.end(),
                          [](const std::string& note) { return note.find("search.gram_mib = 0") != note.npos; }),
            3)
      << "once per layer, though start and search both meet it";
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

/// The toy with conv1 changed, run by each strategy by channel; all that the runs said.
std::vector<std::string> notes_with(const std::function<void(Node&)>& change, const std::string& name) {
  TemporaryFolder folder;
  std::vector<std::string> notes;
  for (const char* strategy : {"channel", "gram"}) {
    ToyProblem toy;
    for (Node& node : toy.graph.nodes) {
      if (node.name == name) change(node);
    }
    toy.config.search.start = "descent";
    toy.config.search.strategy = strategy;
    toy.config.search.order = "forward";
    test::SilentObserver observer;
    TuneResult result;
    EXPECT_NO_THROW(result = tune(toy.request(folder / strategy), observer)) << strategy;
    EXPECT_EQ(result.layers.size(), 3u) << strategy;
    EXPECT_EQ(result.notes, observer.notes) << "the report says it too";
    notes.insert(notes.end(), observer.notes.begin(), observer.notes.end());
  }
  return notes;
}

TEST(Descent, ConstantInputsAreNoted) {
  const auto closed = [](Node& node) {
    auto& bn = test::batch_norm_of(node);
    std::fill(bn.shift.begin(), bn.shift.end(), -1e4f);
  };
  EXPECT_THAT(notes_with(closed, "conv1_bn"),
              testing::Contains(HasSubstr("layer 'conv2': its inputs are the same in all 1800 rows observed")));
}

TEST(Descent, LayersOfDeadChannelsAreNoted) {
  const auto dead = [](Node& node) {
    auto& conv = test::layer_of(node);
    std::fill(conv.weights.begin(), conv.weights.end(), 0.0f);
  };
  EXPECT_THAT(notes_with(dead, "conv1"),
              testing::Contains(HasSubstr("layer 'conv1': every output channel is constant")));
}

TEST(Descent, OneImageIsEnoughToGoOn) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.data.calibration = toy.config.data.fitness = toy.config.data.gate = 1;
  toy.config.search.start = "descent";
  toy.config.search.strategy = "gram";
  toy.config.search.order = "forward";
  test::SilentObserver observer;
  EXPECT_NO_THROW(tune(toy.request(folder / "run"), observer));
  EXPECT_THAT(observer.notes, testing::Contains(HasSubstr("layer 'conv2': 30 rows observed for 72 weights")));
  EXPECT_THAT(observer.notes, testing::Contains(HasSubstr("layer 'fc': its inputs are the same in all 1 rows")));
}

/// Per channel of the first layer: how much of the targets' variance the codes explain at the gain that suits them,
/// up to a factor of the channel.
std::vector<double> explained(ToyProblem& toy, const IntNetwork& fitted) {
  TemporaryFolder folder;
  const FloatPass pass = toy.request(folder / "unused").float_pass;
  Prepared prepared = prepare_network(toy.config, toy.graph, *toy.train, *toy.test, pass, {});
  const Layer& layer = prepared.network.layers.front();
  prepared.network.layers = fitted.layers;
  const auto session = make_reference_backend()->open(prepared.network);
  const ImagesHandle images =
      session->upload(make_image_set(prepared.network, *toy.train, prepared.splits.calibration, nullptr));
  const LayerTargets targets = layer_targets(prepared, toy.config.seed, 0);
  const GramSums sums = session->gram_sums(0, images, targets);
  const LayerParams unit = quantise_layer(prepared.network, layer, to_grid(toy.config.quant.grid));
  const GramForm form = make_gram_form(prepared.network, layer, unit, sums, targets.exponent, 0);
  std::vector<double> all;
  for (std::int64_t k = 0; k < form.channels; ++k) {
    const std::int8_t* const q = layer.params.codes.data() + k * form.taps;
    double linear = 0;
    for (std::int64_t j = 0; j < form.taps; ++j) {
      linear += q[j] * static_cast<double>(form.c[static_cast<std::size_t>(k * form.taps + j)]);
    }
    all.push_back(linear * linear / (static_cast<double>(gram_error(form, k, q)) + 2 * linear));
  }
  return all;
}

TEST(Descent, MoreScalesExplainMoreOfEveryChannel) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.config.quant.grid.bits = 2;
  toy.config.search.start = "descent";
  toy.config.search.strategy = "none";
  toy.config.search.damping = 0;
  toy.config.search.scales = 1;
  const std::vector<double> own = explained(toy, toy.tune(folder / "own").network);
  toy.config.search.scales = 9;
  const std::vector<double> chosen = explained(toy, toy.tune(folder / "chosen").network);
  bool better = false;
  for (std::size_t k = 0; k < own.size(); ++k) {
    EXPECT_GE(chosen[k], own[k] * (1 - 1e-6)) << "channel " << k;
    better = better || chosen[k] > own[k] * 1.001;
  }
  EXPECT_TRUE(better);
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
