// SPDX-License-Identifier: MIT
// All generations of a layer as one launch: no host in between, the same bytes, stopped when asked.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

#include "api_calls.hpp"
#include "cuda/engine/engine_cases.hpp"
#include "gpu.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::cuda {
namespace {

using GpuGraph = test::GpuTest;
using GpuTuner = test::GpuTest;
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

TEST_F(GpuGraph, GivesTheSameBytesAsLaunchingOneByOne) {
  for (std::uint64_t seed = 5000; seed < 5004; ++seed) {
    for (const bool graphs : {true, false}) {
      test::expect_equal_search(with(graphs, false), seed);
      test::expect_equal_fit(with(graphs, false), seed);
    }
  }
}

TEST_F(GpuGraph, StopsBetweenGenerationsWhenAsked) {
  Prepared p;
  p.search->start();
  StopFlag stop{false};
  const std::jthread asker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
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

TEST_F(GpuTuner, ChoosesWithoutChangingAByteAndRemembers) {
  const qnudge::test::TemporaryFolder folder;
  const char* const set = std::getenv("QNUDGE_PLAN_CACHE");
  const std::optional<std::string> before = set == nullptr ? std::nullopt : std::optional<std::string>(set);
  ::setenv("QNUDGE_PLAN_CACHE", (folder / "plans").c_str(), 1);
  const std::uint64_t end = test::sample_step() == 1 ? 6003 : 6001;
  for (int round = 0; round < 2; ++round) {  // the second time from what the first has stored
    for (std::uint64_t seed = 6000; seed < end; ++seed) test::expect_equal_search(with(true, true), seed);
  }
  if (before) {
    ::setenv("QNUDGE_PLAN_CACHE", before->c_str(), 1);
  } else {
    ::unsetenv("QNUDGE_PLAN_CACHE");
  }
}

}  // namespace
}  // namespace qnudge::cuda
