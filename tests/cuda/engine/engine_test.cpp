// SPDX-License-Identifier: MIT
// The engine's programs, executed by the host functors, against the reference backend on random networks: equal bytes.
#include <gtest/gtest.h>

#include <map>

#include "emulated_device.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/cuda/engine.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/random_network.hpp"

namespace qnudge::cuda {
namespace {

using qnudge::test::random_images;
using qnudge::test::random_network;

std::unique_ptr<Backend> engine(const test::EmulationOptions& emulation, std::int64_t images_per_chunk) {
  return make_engine(std::make_shared<test::EmulatedDevice>(emulation), {.images_per_chunk = images_per_chunk});
}

struct Outcome {
  PopulationState state;
  std::vector<GenerationRecord> history;
};

Outcome run_search(Backend& backend, const IntNetwork& network, const ImageSet& images, int layer,
                   const PopulationOptions& options, std::int32_t generations = 4) {
  const auto session = backend.open(network);
  const auto targets = residual_targets(network.layer(layer), network.layer(layer).params);
  const auto search = session->prepare(layer, session->upload(images), options, targets);
  const StopFlag never{false};
  search->start();
  search->repeat(generations, never, [&] {
    for (int c = 0; c < search->chunks(); ++c) {
      search->mutate(c);
      search->evaluate(c);
    }
    search->select();
  });
  EXPECT_EQ(search->mailbox().generation, generations);
  EXPECT_EQ(search->mailbox().candidate_images, generations * options.offspring * images.count);
  return {search->save(), search->take_history()};
}

void expect_equal(const Outcome& a, const Outcome& b, const std::string& what) {
  EXPECT_EQ(a.state.generation, b.state.generation) << what;
  EXPECT_EQ(a.state.start_fitness, b.state.start_fitness) << what;
  EXPECT_EQ(a.state.fitness, b.state.fitness) << what;
  EXPECT_EQ(a.state.parents, b.state.parents) << what;
  ASSERT_EQ(a.history.size(), b.history.size()) << what;
  for (std::size_t g = 0; g < a.history.size(); ++g) {
    EXPECT_EQ(a.history[g].generation, b.history[g].generation) << what;
    EXPECT_EQ(a.history[g].best, b.history[g].best) << what;
    EXPECT_EQ(a.history[g].worst, b.history[g].worst) << what;
    EXPECT_EQ(a.history[g].accepted, b.history[g].accepted) << what;
  }
}

class RandomNetworks : public testing::TestWithParam<int> {};

TEST_P(RandomNetworks, EveryTensorEqualsTheReference) {
  for (int i = 0; i < 10; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 10 + i);
    const IntNetwork network = random_network(seed);
    const ImageSet images = random_images(network, 5, seed);
    const auto tensors = [&](Backend& backend) {
      std::map<int, std::vector<std::uint8_t>> all;
      const auto session = backend.open(network);
      session->visit_tensors(session->upload(images), [&](int node, std::span<const std::uint8_t> bytes) {
        all[node].assign(bytes.begin(), bytes.end());
      });
      return all;
    };
    const auto backend = engine({.seed = seed}, 2);
    if (backend->reject(network)) continue;
    EXPECT_EQ(tensors(*backend), tensors(*make_reference_backend())) << "seed " << seed;
  }
}

TEST_P(RandomNetworks, EvaluationAndMeansEqualTheReferenceForAnyChunk) {
  for (int i = 0; i < 10; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 + GetParam() * 10 + i);
    const IntNetwork network = random_network(seed);
    const ImageSet images = random_images(network, 7, seed);
    const auto expected = make_reference_backend()->open(network);
    const auto expected_images = expected->upload(images);
    const Evaluation a = expected->evaluate(expected_images);
    for (const std::int64_t chunk : {0, 1, 3, 7}) {
      const auto backend = engine({.seed = seed, .fuses = chunk != 1}, chunk);
      if (backend->reject(network)) continue;
      const auto session = backend->open(network);
      const auto handle = session->upload(images);
      const Evaluation b = session->evaluate(handle);
      EXPECT_EQ(b.predicted, a.predicted) << "seed " << seed << " chunk " << chunk;
      EXPECT_EQ(b.correct, a.correct);
      EXPECT_EQ(b.cross_entropy, a.cross_entropy);
      EXPECT_EQ(b.kl, a.kl);
      for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
        EXPECT_EQ(session->accumulator_means(layer, handle), expected->accumulator_means(layer, expected_images))
            << "seed " << seed << " layer " << layer;
      }
    }
  }
}

TEST_P(RandomNetworks, SearchEqualsTheReferenceForAnyChunkAndStreams) {
  for (int i = 0; i < 6; ++i) {
    const auto seed = static_cast<std::uint64_t>(2000 + GetParam() * 6 + i);
    const IntNetwork network = random_network(seed);
    const ImageSet images = random_images(network, 7, seed);
    for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
      if (!network.layer(layer).tunable) continue;
      PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
      options.fitness = static_cast<FitnessKind>((seed + static_cast<std::uint64_t>(layer)) % 4);
      options.mutation = layer % 2 ? MutationKind::residual : MutationKind::uniform;
      const Outcome expected = run_search(*make_reference_backend(), network, images, layer, options);
      struct Variant {
        int streams;
        std::int64_t images;
        std::int32_t candidates;
        bool fuses;
      };
      for (const Variant& v : {Variant{1, 0, 0, true}, {3, 2, 2, false}, {2, 3, 4, true}, {4, 1, 1, true}}) {
        options.chunk = v.candidates;
        const auto backend = engine({.streams = v.streams, .seed = seed, .fuses = v.fuses}, v.images);
        if (backend->reject(network)) continue;
        expect_equal(run_search(*backend, network, images, layer, options), expected,
                     fmt::format("seed {} layer {} streams {} images {}", seed, layer, v.streams, v.images));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomNetworks, testing::Range(0, 8));

}  // namespace
}  // namespace qnudge::cuda
