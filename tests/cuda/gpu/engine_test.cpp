// SPDX-License-Identifier: MIT
// What the engine does on an emulated device, on a real one.
#include <gmock/gmock.h>

#include <algorithm>

#include "cuda/engine/engine_cases.hpp"
#include "gpu.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

using test::Variant;

std::unique_ptr<Backend> real(const Variant& v) {
  return make_cuda_backend({.images_per_chunk = v.images, .streams = v.streams, .vendor = v.fuses});
}

using GpuEngine = test::GpuTest;

/// Most of a test's time goes into compiling plans on one core: every seed is a test, so that each can have a process.
class GpuEngineSeed : public test::GpuTest, public testing::WithParamInterface<int> {
 protected:
  std::uint64_t seed(int block) const { return static_cast<std::uint64_t>(block + GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(, GpuEngineSeed, testing::Range(0, 6), testing::PrintToStringParamName());

TEST_P(GpuEngineSeed, EveryTensorEqualsTheReference) {
  test::expect_equal_tensors(real, seed(0));
  test::expect_equal_tensors(real, seed(6));
}

TEST_P(GpuEngineSeed, EvaluationAndMeansEqualTheReferenceForAnyChunk) {
  test::expect_equal_evaluation(real, seed(1000));
}

TEST_P(GpuEngineSeed, SearchEqualsTheReferenceForAnyChunkAndStreams) {
  test::expect_equal_search(real, seed(2000));
}

TEST_P(GpuEngineSeed, HalvesAreNearTheReference) {
  test::expect_near_in_half(real, seed(7000));
  test::expect_near_in_half(real, seed(7006));
}

TEST_P(GpuEngineSeed, RestoredSearchEndsTheSame) {
  test::expect_equal_after_restore(real, seed(3000));
}

TEST_P(GpuEngineSeed, FittingEqualsTheHostForAnyChunk) {
  test::expect_equal_fit(real, seed(4000));
  test::expect_equal_fit(real, seed(4006));
}

TEST_F(GpuEngine, HalvesRepeatTheirBytes) {
  const IntNetwork network = test::random_network(7001, Activations::half);
  const ImageSet images = test::random_images(network, 40, 7);
  const auto layer =
      std::ranges::find_if(network.layers, [](const Layer& l) { return l.tunable && l.params.bits != kHalfBits; });
  ASSERT_NE(layer, network.layers.end());
  const PopulationOptions options{.parents = 8, .offspring = 16, .fitness = FitnessKind::cross_entropy, .rate = 0.1};
  const int at = static_cast<int>(layer - network.layers.begin());
  const test::Outcome first = test::run_search(*make_cuda_backend(), network, images, at, options);
  for (int replay = 0; replay < 5; ++replay) {
    test::expect_equal(test::run_search(*make_cuda_backend(), network, images, at, options), first, "halves");
  }
}

TEST_F(GpuEngine, AHundredReplaysGiveTheSameBytes) {
  const IntNetwork network = test::random_network(7);
  const ImageSet images = test::random_images(network, 40, 7);
  const auto backend = make_cuda_backend();
  const PopulationOptions options{.parents = 8, .offspring = 16, .fitness = FitnessKind::cross_entropy, .rate = 0.1};
  const test::Outcome first = test::run_search(*backend, network, images, 0, options);
  for (int replay = 1; replay < 100; ++replay) {
    test::expect_equal(test::run_search(*backend, network, images, 0, options), first,
                       "replay " + std::to_string(replay));
    if (HasFailure()) return;
  }
}

TEST_F(GpuEngine, LargePopulationsAreRankedLikeOnTheHost) {
  const IntNetwork network = test::random_network(3);
  const ImageSet images = test::random_images(network, 3, 3);
  for (const auto& [parents, offspring] : {std::pair{1, 1}, {200, 56}, {300, 700}, {600, 400}, {2048, 2048}}) {
    const PopulationOptions options{.parents = parents, .offspring = offspring, .rate = 0.05};
    test::expect_equal(test::run_search(*make_cuda_backend(), network, images, 0, options, 3),
                       test::run_search(*make_host_backend({}), network, images, 0, options, 3),
                       std::to_string(parents));
  }
}

TEST_F(GpuEngine, OutOfMemoryIsASentenceAndTheDeviceSurvives) {
  const IntNetwork network = test::random_network(3);
  const ImageSet images = test::random_images(network, 6, 3);
  const auto session = make_cuda_backend({.memory_bytes = 1})->open(network);
  const auto handle = session->upload(images);
  try {
    session->evaluate(handle);
    FAIL() << "one byte sufficed";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::device);
    EXPECT_THAT(e.what(), testing::HasSubstr("device memory"));
  }
  const auto again = make_cuda_backend()->open(network);
  EXPECT_EQ(again->evaluate(again->upload(images)).predicted.size(), 6u);
}

}  // namespace
}  // namespace qnudge::cuda
