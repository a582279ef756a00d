// SPDX-License-Identifier: MIT
// The rules that a layer's graph must obey, on what the engine records for every strategy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/cuda/engine.hpp"
#include "qnudge/cuda/graph_census.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;
using Kind = GraphNodeKind;

/// Keeps the programs that are to be repeated.
class RecordingDevice : public test::EmulatedDevice {
 public:
  using EmulatedDevice::EmulatedDevice;
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override {
    repeated.push_back(program);
    return EmulatedDevice::repeat(program, times, stop);
  }
  std::vector<Program> repeated;
};

std::shared_ptr<RecordingDevice> recording(int streams) {
  return std::make_shared<RecordingDevice>(test::EmulationOptions{.streams = streams});
}

TEST(GraphCensus, EveryStrategyIsOneProgramWithoutTheHost) {
  const qnudge::test::FitProblem p(11, 0);
  const auto device = recording(3);
  test::run_fit(*make_engine(device, {.images_per_chunk = 2}), p, 11);
  const std::size_t by_channel = device->repeated.size();
  EXPECT_EQ(by_channel, 4u) << "gram and channel, each in two parts";
  const PopulationOptions options{.parents = 3, .offspring = 5};
  test::run_search(*make_engine(device, {.images_per_chunk = 1}), p.network, p.images, p.layer, options, 7);
  ASSERT_EQ(device->repeated.size(), by_channel + 1) << "one program for all generations of a layer";
  for (const Program& program : device->repeated) {
    const GraphCensus census = take_census(nodes_of(program));
    EXPECT_EQ(census.problem, "");
    EXPECT_GT(census.counts.at(Kind::kernel), 0);
  }
  const GraphCensus layer = take_census(nodes_of(device->repeated.back()));
  EXPECT_EQ(layer.counts.at(Kind::loop), 1) << "over chunks of images";
  EXPECT_EQ(layer.depth, 1);
}

TEST(GraphCensus, ALoopOverChunksKeepsTheGraphSmallWhateverTheNumberOfImages) {
  std::vector<std::int64_t> kernels;
  for (const std::int64_t count : {4, 40}) {
    const IntNetwork network = test::random_network(5);
    const auto device = recording(2);
    test::run_search(*make_engine(device, {.images_per_chunk = 2}), network, test::random_images(network, count, 5), 0,
                     {.parents = 2, .offspring = 2}, 1);
    kernels.push_back(take_census(nodes_of(device->repeated.back())).counts.at(Kind::kernel));
  }
  EXPECT_EQ(kernels[0], kernels[1]);
}

TEST(GraphCensus, NamesWhatNeedsTheHostAtAnyDepth) {
  const auto problem = [](std::vector<GraphNode> nodes) { return take_census(nodes).problem; };
  const GraphNode kernel{Kind::kernel, {}};
  EXPECT_EQ(problem({kernel, {Kind::memset, {}}, {Kind::device_copy, {}}, {Kind::pinned_copy, {}}, {Kind::empty, {}}}),
            "");
  EXPECT_EQ(problem({}), "the graph is empty");
  const std::pair<Kind, const char*> bad[] = {{Kind::host_call, "host call"},    {Kind::event, "event"},
                                              {Kind::semaphore, "semaphore"},    {Kind::allocation, "allocation"},
                                              {Kind::pageable_copy, "pageable"}, {Kind::other, "unknown"}};
  for (const auto& [kind, word] : bad) {
    EXPECT_THAT(problem({{kind, {}}}), HasSubstr(word));
    EXPECT_THAT(problem({kernel, {Kind::child, {{kind, {}}}}}), HasSubstr(word));
    EXPECT_THAT(problem({{Kind::loop, {kernel, {Kind::loop, {kernel, {kind, {}}}}}}}),
                HasSubstr("a loop in a loop in the graph holds a "));
  }
  EXPECT_THAT(problem({{Kind::loop, {{Kind::memset, {}}}}}), HasSubstr("a loop that no kernel ends"));
}

TEST(GraphCensus, CountsBodiesOnceAndSaysSo) {
  const GraphNode kernel{Kind::kernel, {}};
  const GraphCensus census = take_census({{Kind::loop, {kernel, kernel, {Kind::loop, {kernel}}}}, {Kind::memset, {}}});
  EXPECT_EQ(census.counts.at(Kind::kernel), 3);
  EXPECT_EQ(census.depth, 2);
  EXPECT_EQ(census.text(), "3 x kernel, 1 x memset, 2 x loop");
}

}  // namespace
}  // namespace qnudge::cuda
