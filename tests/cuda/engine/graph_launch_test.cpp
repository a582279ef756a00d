// SPDX-License-Identifier: MIT
// A graph that is refused is seen, costs one program's speed, and changes no byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/engine.hpp"

namespace qnudge::cuda {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Searched {
  GraphUsage usage;
  test::Outcome outcome;
};

/// One layer's search, in as many pieces as there are limits.
Searched search(const test::EmulationOptions& options, const std::vector<std::int32_t>& limits = {2, 5, 9}) {
  const IntNetwork network = test::random_network(5);
  const auto backend = make_engine(std::make_shared<test::EmulatedDevice>(options), {.images_per_chunk = 2});
  const auto session = backend->open(network);
  const auto images = session->upload(test::random_images(network, 7, 5));
  const auto search = session->prepare(0, images, {.parents = 3, .offspring = 4, .rate = 0.1}, {});
  search->start();
  for (const std::int32_t limit : limits) test::evolve(*search, limit);
  return {graph_usage(*backend).value(), {search->save(), search->take_history()}};
}

TEST(GraphLaunch, EveryRepeatIsOneLaunchWhereTheDeviceTakesIt) {
  const GraphUsage usage = search({}).usage;
  EXPECT_EQ(usage.one_launch, 3);
  EXPECT_EQ(usage.one_by_one, 0);
  EXPECT_THAT(usage.reasons, IsEmpty());
  EXPECT_GT(usage.nodes.at("kernel"), 3);
  EXPECT_EQ(usage.nodes.at("loop"), 1);
  EXPECT_EQ(usage.depth, 1);
}

TEST(GraphLaunch, ARefusalConcernsOneProgramAndChangesNoByte) {
  const Searched whole = search({}), refused = search({.refused_graphs = {0}});
  EXPECT_EQ(refused.usage.one_launch, 2) << "the next programs are tried again";
  EXPECT_EQ(refused.usage.one_by_one, 1);
  EXPECT_THAT(refused.usage.reasons, ElementsAre("the emulated driver says no"));
  test::expect_equal(refused.outcome, whole.outcome, "refused");
}

TEST(GraphLaunch, EachReasonIsNamedOnce) {
  const Searched refused = search({.refused_graphs = {0, 1, 2}});
  EXPECT_EQ(refused.usage.one_launch, 0);
  EXPECT_EQ(refused.usage.one_by_one, 3);
  EXPECT_THAT(refused.usage.reasons, ElementsAre("the emulated driver says no"));
  EXPECT_THAT(refused.usage.nodes, IsEmpty());
}

TEST(GraphLaunch, SaysThatNobodyWantedGraphs) {
  const Searched off = search({.graphs = false});
  EXPECT_EQ(off.usage.one_by_one, 3);
  EXPECT_THAT(off.usage.reasons, ElementsAre("device.graphs is false"));
  test::expect_equal(off.outcome, search({}).outcome, "off");
}

TEST(GraphLaunch, CountsNothingThatDidNotRun) {
  const GraphUsage usage = search({}, {0, 0}).usage;
  EXPECT_EQ(usage.one_launch + usage.one_by_one, 0);
}

TEST(GraphLaunch, DescribesTheLargestGraph) {
  const auto kernels = [](std::int64_t count) {
    GraphCensus census;
    census.counts[GraphNodeKind::kernel] = count;
    census.depth = static_cast<int>(count);
    return census;
  };
  struct Fixed : PreparedGraph {
    explicit Fixed(GraphCensus c) : counted(std::move(c)) {}
    const GraphCensus& census() const override { return counted; }
    std::int32_t run(const StopFlag&) override { return 1; }
    GraphCensus counted;
  };
  std::int64_t next = 0;
  GraphLaunches launches(true,
                         [&](const Program&, std::int32_t) {
                           constexpr std::array<std::int64_t, 3> kSizes{4, 9, 2};
                           return std::make_unique<Fixed>(kernels(kSizes.at(static_cast<std::size_t>(next++))));
                         },
                         {});
  const StopFlag never{false};
  for (int i = 0; i < 3; ++i) launches.repeat({}, 1, never);
  EXPECT_EQ(launches.usage().nodes.at("kernel"), 9);
  EXPECT_EQ(launches.usage().depth, 9);
}

TEST(GraphLaunch, HidesNoFaultOfItsOwn) {
  GraphLaunches launches(
      true,
      [](const Program&, std::int32_t) -> std::unique_ptr<PreparedGraph> {
        fail(ErrorKind::internal, "a tensor lies where it must not");
      },
      [](const Program&, std::int32_t, const StopFlag&) { return 1; });
  const StopFlag never{false};
  EXPECT_THROW(launches.repeat({}, 1, never), Error);
}

TEST(GraphLaunch, OtherBackendsKnowNoGraphs) {
  EXPECT_FALSE(graph_usage(*make_host_backend({})).has_value());
}

/// Keeps which convolutions ran at once, and which are in programs that are repeated.
class WatchingDevice : public test::EmulatedDevice {
 public:
  using EmulatedDevice::EmulatedDevice;
  void run(const Program& program) override {
    if (!repeating_) collect(program, ran);
    EmulatedDevice::run(program);
  }
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override {
    collect(program, repeated);
    repeating_ = true;
    const std::int32_t done = EmulatedDevice::repeat(program, times, stop);
    repeating_ = false;
    return done;
  }
  std::set<ConvHandle> ran, repeated;

 private:
  static void collect(const Program& program, std::set<ConvHandle>& convs) {
    for (const Program::Step& step : program.steps) {
      if (const auto* conv = std::get_if<RunConv>(&step.command)) convs.insert(conv->conv);
      if (const auto* loop = std::get_if<Loop>(&step.command)) collect(*loop->body, convs);
    }
  }
  bool repeating_ = false;
};

/// A library may allocate or load code in a first execution, which a graph that is being recorded cannot have.
TEST(GraphLaunch, NoConvolutionRunsForTheFirstTimeInsideAGraph) {
  const qnudge::test::FitProblem p(11, 0);
  const Layer& layer = p.network.layer(p.layer);
  const auto residual = residual_targets(layer, layer.params);
  for (const bool by_channel : {false, true}) {
    const auto open = [&](Session& session) {
      const auto images = session.upload(p.images);
      return by_channel ? session.prepare_channels(p.layer, images, p.targets, {.offspring = 2, .rate = 0.2}, residual)
                        : session.prepare(p.layer, images, {.parents = 2, .offspring = 3, .rate = 0.2}, {});
    };
    PopulationState state;
    for (const bool restored : {false, true}) {
      const auto device = std::make_shared<WatchingDevice>(test::EmulationOptions{.streams = 2});
      const auto session = make_engine(device, {.images_per_chunk = 2})->open(p.network);
      const auto search = open(*session);
      device->ran.clear();
      if (restored) {
        search->restore(state);
      } else {
        search->start();
      }
      test::evolve(*search, restored ? 4 : 2);
      state = search->save();
      EXPECT_FALSE(device->repeated.empty());
      for (const ConvHandle& conv : device->repeated) {
        EXPECT_TRUE(device->ran.contains(conv)) << (by_channel ? "channel" : "layer") << ", restored " << restored;
      }
    }
  }
}

}  // namespace
}  // namespace qnudge::cuda
