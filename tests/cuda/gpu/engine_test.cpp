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

TEST_F(GpuEngine, EveryTensorEqualsTheReference) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) test::expect_equal_tensors(real, seed);
}

TEST_F(GpuEngine, EvaluationAndMeansEqualTheReferenceForAnyChunk) {
  for (std::uint64_t seed = 1000; seed < 1006; ++seed) test::expect_equal_evaluation(real, seed);
}

TEST_F(GpuEngine, SearchEqualsTheReferenceForAnyChunkAndStreams) {
  for (std::uint64_t seed = 2000; seed < 2006; ++seed) test::expect_equal_search(real, seed);
}

TEST_F(GpuEngine, HalvesAreNearTheReferenceAndRepeatTheirBytes) {
  for (std::uint64_t seed = 7000; seed < 7012; ++seed) test::expect_near_in_half(real, seed);
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

TEST_F(GpuEngine, RestoredSearchEndsTheSame) {
  for (std::uint64_t seed = 3000; seed < 3004; ++seed) test::expect_equal_after_restore(real, seed);
}

TEST_F(GpuEngine, FittingEqualsTheHostForAnyChunk) {
  for (std::uint64_t seed = 4000; seed < 4010; ++seed) test::expect_equal_fit(real, seed);
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
