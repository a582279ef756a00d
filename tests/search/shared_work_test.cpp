// SPDX-License-Identifier: MIT
// What runs of a sweep share must not show in any byte of their results.
#include "qnudge/search/shared_work.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "qnudge/core/error.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::TemporaryFolder;
using test::ToyProblem;

Config best_config() {
  Config config = test::toy_config();
  config.recipe = "best";
  config.search = recipe_search("best");
  config.search.generations = 5;
  config.search.positions = 5;
  return config;
}

/// Configs that differ in what a sweep varies, a few of them alike in all that comes before the search.
std::vector<Config> sweep_configs() {
  std::vector<Config> configs;
  const auto add = [&](Config config, const std::function<void(Config&)>& change) {
    change(config);
    configs.push_back(std::move(config));
  };
  for (const int bits : {2, 4}) {
    for (const std::uint64_t seed : {1u, 2u}) {
      for (const Config& base : {best_config(), test::toy_config()}) {
        add(base, [&](Config& c) { c.quant.grid.bits = bits, c.seed = seed; });
      }
    }
  }
  add(best_config(), [](Config& c) { c.search.rate = 0.2; });
  add(best_config(), [](Config& c) { c.search.strategy = "channel"; });
  add(best_config(), [](Config& c) { c.search.start = "bias"; });
  add(best_config(), [](Config& c) { c.search.damping = 0.5; });
  add(best_config(), [](Config& c) { c.search.joint_gain = false; });
  add(best_config(), [](Config& c) { c.search.positions = 3; });
  add(best_config(), [](Config& c) { c.quant.grid.scheme = "per_channel"; });
  add(best_config(), [](Config& c) { c.quant.activation_range = "max"; });
  add(test::toy_config(), [](Config& c) { c.search.start = "bias"; });
  add(test::toy_config(), [](Config& c) { c.search.sensitivity_bits = 2; });
  add(test::toy_config(), [](Config& c) { c.quant.rest_bits = 3; });
  add(test::toy_config(), [](Config& c) { c.search.skip = {"conv1"}; });
  add(test::toy_config(), [](Config& c) { c.stop.rule = "budget"; });
  add(test::toy_config(), [](Config& c) { c.protocol = "paper"; });
  return configs;
}

/// Tunes with an own or with shared work; counts images that the float model saw.
class Runner {
 public:
  TuneResult run(const Config& config, const std::filesystem::path& folder, SharedWork* shared) {
    toy_.config = config;
    TuneRequest request = toy_.request(folder);
    request.shared = shared;
    request.float_pass = [this, own = request.float_pass](std::int64_t count, const SampleReader& samples,
                                                          const FloatObservation& observe) {
      images += count;
      return own(count, samples, observe);
    };
    test::SilentObserver observer;
    TuneResult result = tune(request, observer);
    EXPECT_EQ(observer.notes, result.notes);
    return result;
  }

  std::atomic<std::int64_t> images{0};

 private:
  ToyProblem toy_;
};

void expect_same(const TuneResult& a, const TuneResult& b, int i) {
  EXPECT_EQ(a.notes, b.notes) << "config " << i;
  EXPECT_EQ(a.start.test.predicted, b.start.test.predicted) << "config " << i;
  EXPECT_EQ(a.nearest.gate.kl, b.nearest.gate.kl) << "config " << i;
  const auto bias = [](const TuneResult& r) { return r.bias ? r.bias->fitness.correct : -1; };
  EXPECT_EQ(bias(a), bias(b)) << "config " << i;
}

TEST(SharedWork, ChangesNoByteOfAnyRun) {
  const TemporaryFolder folder;
  Runner alone, together;
  SharedWork shared;
  shared.folder = folder / "shared";
  int i = 0;
  for (const Config& config : sweep_configs()) {
    const auto own = folder / fmt::format("own{}", i), common = folder / fmt::format("common{}", i);
    expect_same(alone.run(config, own, nullptr), together.run(config, common, &shared), i);
    for (const char* name :
         {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin", "targets.bin", "config.resolved.json"}) {
      EXPECT_EQ(contents(own / name), contents(common / name)) << "config " << i << ": " << name;
    }
    ++i;
  }
  EXPECT_LT(2 * together.images, alone.images) << "little was shared";
}

TEST(SharedWork, ASecondSessionUsesWhatTheFirstLeft) {
  const TemporaryFolder folder;
  Runner runner;
  {
    SharedWork shared;
    shared.folder = folder / "shared";
    runner.run(best_config(), folder / "first", &shared);
  }
  runner.images = 0;
  SharedWork shared;
  shared.folder = folder / "shared";
  runner.run(best_config(), folder / "second", &shared);
  EXPECT_EQ(runner.images, 0);
  EXPECT_EQ(contents(folder / "first/tuned.onnx"), contents(folder / "second/tuned.onnx"));
}

TEST(SharedWork, ACorruptedSharedFileIsMadeAnew) {
  const TemporaryFolder folder;
  Runner runner;
  SharedWork first, second;
  first.folder = second.folder = folder / "shared";
  runner.run(best_config(), folder / "first", &first);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder / "shared")) {
    if (entry.path().filename() != "targets.bin") continue;
    std::filesystem::remove(entry.path());  // its other names keep the content
    std::ofstream(entry.path()) << "broken";
  }
  runner.run(best_config(), folder / "second", &second);
  EXPECT_EQ(contents(folder / "first/tuned.onnx"), contents(folder / "second/tuned.onnx"));
  EXPECT_EQ(contents(folder / "first/targets.bin"), contents(folder / "second/targets.bin"));
}

TEST(OnceMap, MakesEachValueOnceHoweverManyAsk) {
  OnceMap<int> map(100);
  std::atomic<int> made{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) {
        EXPECT_EQ(*map.get(std::to_string(k), [&] { return ++made, k; }), k);
      }
    });
  }
  threads.clear();
  EXPECT_EQ(made, 50);
}

TEST(OnceMap, AFailureIsNotKept) {
  OnceMap<int> map(2);
  EXPECT_THROW(map.get("a", []() -> int { fail(ErrorKind::interrupted, "stop"); }), Error);
  EXPECT_EQ(*map.get("a", [] { return 3; }), 3);
}

TEST(OnceMap, KeepsOnlyTheLastOnes) {
  OnceMap<int> map(2);
  for (const char* key : {"a", "b", "c"}) map.get(key, [] { return 1; });
  EXPECT_EQ(*map.get("c", [] { return 2; }), 1);
  EXPECT_EQ(*map.get("a", [] { return 2; }), 2) << "dropped, so made again";
}

}  // namespace
}  // namespace qnudge
