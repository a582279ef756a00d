// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <functional>
#include <map>

#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/random_network.hpp"

/// What must hold for the engine on any device, emulated or real: the reference backend's bytes on random networks.
namespace qnudge::cuda::test {

using qnudge::test::random_images;
using qnudge::test::random_network;

struct Variant {
  int streams = 1;
  std::int64_t images = 0;  ///< per chunk, 0: chosen
  std::int32_t candidates = 0;
  bool fuses = true;
  std::uint64_t seed = 1;
};
using MakeBackend = std::function<std::unique_ptr<Backend>(const Variant&)>;

struct Outcome {
  PopulationState state;
  std::vector<GenerationRecord> history;
};

inline void evolve(LayerSearch& search, std::int32_t limit) {
  const StopFlag never{false};
  search.repeat(limit, never, [&] {
    for (int c = 0; c < search.chunks(); ++c) {
      search.mutate(c);
      search.evaluate(c);
    }
    search.select();
  });
}

inline Outcome run_search(Backend& backend, const IntNetwork& network, const ImageSet& images, int layer,
                          const PopulationOptions& options, std::int32_t generations = 4) {
  const auto session = backend.open(network);
  const auto targets = residual_targets(network.layer(layer), network.layer(layer).params);
  const auto search = session->prepare(layer, session->upload(images), options, targets);
  search->start();
  evolve(*search, generations);
  EXPECT_EQ(search->mailbox().generation, generations);
  EXPECT_EQ(search->mailbox().candidate_images, generations * options.offspring * images.count);
  return {search->save(), search->take_history()};
}

inline void expect_equal(const Outcome& a, const Outcome& b, const std::string& what) {
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

using Tensors = std::map<int, std::vector<std::uint8_t>>;

inline Tensors all_tensors(Backend& backend, const IntNetwork& network, const ImageSet& images) {
  Tensors all;
  const auto session = backend.open(network);
  session->visit_tensors(session->upload(images), [&](int node, std::span<const std::uint8_t> bytes) {
    all[node].assign(bytes.begin(), bytes.end());
  });
  return all;
}

inline void expect_equal_tensors(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed);
  const ImageSet images = random_images(network, 5, seed);
  const auto backend = make({.images = 2, .seed = seed});
  ASSERT_EQ(backend->reject(network), std::nullopt);
  EXPECT_EQ(all_tensors(*backend, network, images), all_tensors(*make_reference_backend(), network, images))
      << "seed " << seed;
}

inline void expect_equal_evaluation(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed);
  const ImageSet images = random_images(network, 7, seed);
  const auto expected = make_reference_backend()->open(network);
  const auto expected_images = expected->upload(images);
  const Evaluation a = expected->evaluate(expected_images);
  for (const std::int64_t chunk : {0, 1, 3, 7}) {
    const auto session = make({.images = chunk, .fuses = chunk != 1, .seed = seed})->open(network);
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

inline void expect_equal_search(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed);
  const ImageSet images = random_images(network, 7, seed);
  for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
    if (!network.layer(layer).tunable) continue;
    PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
    options.fitness = static_cast<FitnessKind>((seed + static_cast<std::uint64_t>(layer)) % 4);
    options.mutation = layer % 2 ? MutationKind::residual : MutationKind::uniform;
    const Outcome expected = run_search(*make_reference_backend(), network, images, layer, options);
    for (const Variant& v :
         {Variant{1, 0, 0, true, seed}, {3, 2, 2, false, seed}, {2, 3, 4, true, seed}, {4, 1, 1, true, seed}}) {
      options.chunk = v.candidates;
      expect_equal(run_search(*make(v), network, images, layer, options), expected,
                   fmt::format("seed {} layer {} streams {} images {}", seed, layer, v.streams, v.images));
    }
  }
}

/// A search that was saved and restored in another object ends as the one that was not.
inline void expect_equal_after_restore(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed);
  const ImageSet images = random_images(network, 6, seed);
  const auto backend = make({.streams = 2, .images = 2, .seed = seed});
  const auto session = backend->open(network);
  const auto handle = session->upload(images);
  const PopulationOptions options{
      .parents = 4, .offspring = 6, .seed = 11, .fitness = FitnessKind::cross_entropy, .rate = 0.3};
  const auto whole = session->prepare(0, handle, options, {});
  whole->start();
  evolve(*whole, 6);
  const auto first = session->prepare(0, handle, options, {});
  first->start();
  evolve(*first, 2);
  const auto second = session->prepare(0, handle, options, {});
  second->restore(first->save());
  EXPECT_EQ(second->mailbox().generation, 2);
  evolve(*second, 6);
  EXPECT_EQ(second->save().parents, whole->save().parents);
  EXPECT_EQ(second->save().fitness, whole->save().fitness);
  EXPECT_EQ(second->save().generation, 6);
  auto records = first->take_history();
  const auto rest = second->take_history();
  records.insert(records.end(), rest.begin(), rest.end());
  expect_equal({second->save(), records}, {whole->save(), whole->take_history()}, "restored");
}

}  // namespace qnudge::cuda::test
