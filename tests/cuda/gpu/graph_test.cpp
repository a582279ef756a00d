// SPDX-License-Identifier: MIT
// All generations of a layer as one launch: no host in between, the same bytes, stopped when asked.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>
#include <tuple>

#include "api_calls.hpp"
#include "cuda/engine/engine_cases.hpp"
#include "gpu.hpp"
#include "qnudge/backend/graph_usage.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::cuda {
namespace {

using GpuGraph = test::GpuTest;
using test::Variant;

auto with(bool graphs, bool autotune) {
  return [=](const Variant& v) {
    return make_cuda_backend({.images_per_chunk = v.images,
                              .streams = v.streams,
                              .vendor = v.fuses,
                              .autotune = autotune,
                              .graphs = graphs});
  };
}

struct Prepared {
  IntNetwork network = test::random_network(7);
  ImageSet images = test::random_images(network, 40, 7);
  std::unique_ptr<Backend> backend = make_cuda_backend({.images_per_chunk = 4});
  std::unique_ptr<Session> session = backend->open(network);
  std::unique_ptr<LayerSearch> search =
      session->prepare(0, session->upload(images), {.parents = 8, .offspring = 16, .rate = 0.1}, {});
};

TEST_F(GpuGraph, NothingIsCalledBetweenTheLaunchAndTheWait) {
  Prepared p;
  p.search->start();
  std::string problem;
  std::vector<std::string> names;
  {
    const auto calls = test::ApiCalls::begin(problem);
    if (!calls) GTEST_SKIP() << problem;
    test::evolve(*p.search, 50);
    names = calls->names();
  }
  const auto is_launch = [](const std::string& name) { return name.starts_with("cudaGraphLaunch"); };
  EXPECT_EQ(std::count_if(names.begin(), names.end(), is_launch), 1) << "50 generations are one launch";
  const auto launch = std::find_if(names.begin(), names.end(), is_launch);
  ASSERT_NE(launch, names.end());
  ASSERT_NE(launch + 1, names.end());
  EXPECT_TRUE((launch + 1)->starts_with("cudaStreamSynchronize")) << *(launch + 1);
  EXPECT_EQ(p.search->save().generation, 50);
}

/// The driver's own text is in the message: nothing else tells why a graph cannot be had.
TEST_F(GpuGraph, EveryEngineRunsInsideNestedLoops) {
  const std::vector<GraphTrial> trials = try_graphs([](const GraphTrial&) {});
  for (const GraphTrial& trial : trials) {
    EXPECT_EQ(trial.problem, "") << trial.task << ", " << trial.conv;
    EXPECT_NE(trial.census, "") << trial.task << ", " << trial.conv;
  }
  EXPECT_GT(trials.size(), 7u) << "engines, forms, and kernels of our own";
  for (const char* own : {"depthwise kernel, 16", "depthwise kernel, 4", "plain kernel"}) {
    EXPECT_THAT(trials, testing::Contains(testing::Field(&GraphTrial::conv, testing::StartsWith(own))));
  }
}

TEST_F(GpuGraph, IsWhatALayersGenerationsAre) {
  Prepared p;
  p.search->start();
  test::evolve(*p.search, 3);
  test::evolve(*p.search, 5);
  const GraphUsage usage = graph_usage(*p.backend).value();
  EXPECT_THAT(usage.reasons, testing::IsEmpty());
  EXPECT_EQ(usage.one_launch, 2);
  EXPECT_EQ(usage.one_by_one, 0);
  EXPECT_EQ(usage.depth, 2);
}

class GpuGraphSeed : public test::GpuTest, public testing::WithParamInterface<std::tuple<int, bool>> {};
INSTANTIATE_TEST_SUITE_P(, GpuGraphSeed, testing::Combine(testing::Range(5000, 5004), testing::Bool()),
                         [](const auto& instance) {
                           return std::to_string(std::get<0>(instance.param)) +
                                  (std::get<1>(instance.param) ? "_graphs" : "_one_by_one");
                         });

TEST_P(GpuGraphSeed, GivesTheSameBytesAsTheHost) {
  const auto& [seed, graphs] = GetParam();
  test::expect_equal_search(with(graphs, false), static_cast<std::uint64_t>(seed));
  test::expect_equal_fit(with(graphs, false), static_cast<std::uint64_t>(seed));
}

TEST_F(GpuGraph, StopsBetweenGenerationsWhenAsked) {
  Prepared p;
  p.search->start();
  StopFlag stop{false};
  const std::jthread asker([&](const std::stop_token& over) {
    // Not before a first generation is done: other processes may keep the device busy for a while.
    while (p.search->mailbox().generation < 1 && !over.stop_requested()) std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    stop = true;
  });
  constexpr std::int32_t kNever = 1'000'000;
  p.search->repeat(kNever, stop, [&] { p.search->mutate(0), p.search->evaluate(0), p.search->select(); });
  const std::int32_t reached = p.search->save().generation;
  EXPECT_GT(reached, 0);
  EXPECT_LT(reached, kNever);
  EXPECT_EQ(p.search->take_history().size(), static_cast<std::size_t>(reached));
  // What was stopped goes on to where it would have been.
  Prepared whole;
  whole.search->start();
  test::evolve(*whole.search, reached + 3);
  test::evolve(*p.search, reached + 3);
  EXPECT_EQ(p.search->save().parents, whole.search->save().parents);
  EXPECT_EQ(p.search->save().fitness, whole.search->save().fitness);
}

class GpuTuner : public test::GpuTest, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(, GpuTuner, testing::Range(6000, 6003), testing::PrintToStringParamName());

TEST_P(GpuTuner, ChoosesWithoutChangingAByteAndRemembers) {
  const qnudge::test::TemporaryFolder folder;
  const char* const set = std::getenv("QNUDGE_PLAN_CACHE");
  const std::optional<std::string> before = set == nullptr ? std::nullopt : std::optional<std::string>(set);
  ::setenv("QNUDGE_PLAN_CACHE", (folder / "plans").c_str(), 1);
  for (int round = 0; round < 2; ++round) {  // the second time from what the first has stored
    test::expect_equal_search(with(true, true), static_cast<std::uint64_t>(GetParam()));
  }
  if (before) {
    ::setenv("QNUDGE_PLAN_CACHE", before->c_str(), 1);
  } else {
    ::unsetenv("QNUDGE_PLAN_CACHE");
  }
}

}  // namespace
}  // namespace qnudge::cuda
