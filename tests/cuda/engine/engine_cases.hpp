// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <fmt/format.h>

#include <functional>
#include <map>

#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/kernels/descent.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/fit_problem.hpp"
#include "support/half_tensors.hpp"
#include "support/random_network.hpp"
#include "support/series_problem.hpp"

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
  int team = 1;  ///< threads of a team, where the device leaves the choice
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
    const auto session =
        make({.images = chunk, .fuses = chunk != 1, .seed = seed, .team = chunk == 3 ? 4 : 1})->open(network);
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

/// Half activations: near the reference, whatever the order of sums.
inline void expect_near_in_half(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed, Activations::half);
  const ImageSet images = random_images(network, 7, seed);
  const auto reference = make_reference_backend();
  qnudge::test::expect_near(qnudge::test::half_tensors(*make({.images = 2, .seed = seed}), network, images),
                            qnudge::test::half_tensors(*reference, network, images), 1.0 / 64,
                            fmt::format("seed {}", seed));
}

/// Half activations on a device whose convolutions sum in one order: the search is the same for any chunks and streams.
inline void expect_equal_search_in_half(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = random_network(seed, Activations::half);
  const ImageSet images = random_images(network, 7, seed);
  for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
    if (!network.layer(layer).tunable || network.layer(layer).params.bits == kHalfBits) continue;
    PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
    options.fitness = static_cast<FitnessKind>((seed + static_cast<std::uint64_t>(layer)) % 4);
    const Outcome expected = run_search(*make({}), network, images, layer, options);
    for (const Variant& v : {Variant{3, 2, 2, true, seed}, {2, 3, 4, true, seed}, {4, 1, 1, true, seed}}) {
      options.chunk = v.candidates;
      expect_equal(run_search(*make(v), network, images, layer, options), expected,
                   fmt::format("halves, seed {} layer {} streams {} images {}", seed, layer, v.streams, v.images));
    }
  }
}

/// Errors of autoencoders, and the search by them.
inline void expect_equal_reconstruction(const MakeBackend& make, std::uint64_t seed) {
  const IntNetwork network = qnudge::test::random_autoencoder(seed);
  const ImageSet windows = qnudge::test::random_windows(network, 7, seed);
  const auto reference = make_reference_backend();
  const auto expected = reference->open(network);
  const Evaluation errors = expected->evaluate(expected->upload(windows));
  const int layer = static_cast<int>(seed % network.layers.size());
  PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
  options.fitness = FitnessKind::reconstruction;
  const Outcome outcome = run_search(*reference, network, windows, layer, options);
  for (const Variant& v : {Variant{1, 0, 0, true, seed}, {3, 2, 2, false, seed}, {2, 3, 4, true, seed}}) {
    const auto session = make(v)->open(network);
    EXPECT_EQ(session->evaluate(session->upload(windows)).errors, errors.errors) << "seed " << seed;
    options.chunk = v.candidates;
    expect_equal(run_search(*make(v), network, windows, layer, options), outcome, fmt::format("seed {}", seed));
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
         {Variant{1, 0, 0, true, seed}, {3, 2, 2, false, seed, 3}, {2, 3, 4, true, seed}, {4, 1, 1, true, seed}}) {
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

inline void expect_equal(const GramSums& a, const GramSums& b, const std::string& what) {
  EXPECT_EQ(a.rows, b.rows) << what;
  EXPECT_EQ(a.groups, b.groups) << what;
  EXPECT_EQ(a.channels, b.channels) << what;
  EXPECT_EQ(a.taps, b.taps) << what;
  EXPECT_EQ(a.x, b.x) << what;
  EXPECT_EQ(a.xx, b.xx) << what;
  EXPECT_EQ(a.t, b.t) << what;
  EXPECT_EQ(a.xt, b.xt) << what;
}

/// Gram sums, strategy "gram" and strategy "channel" of one layer, each search paused and restored on the way.
struct FitOutcome {
  GramSums sums;
  Outcome gram, channel;
  std::vector<double> gains;
};

inline Outcome run_in_two(const std::function<std::unique_ptr<LayerSearch>()>& prepare, std::int32_t generations) {
  const auto first = prepare();
  first->start();
  evolve(*first, generations / 2);
  const auto second = prepare();
  second->restore(first->save());
  evolve(*second, generations);
  EXPECT_EQ(second->mailbox().generation, generations);
  auto records = first->take_history();
  const auto rest = second->take_history();
  records.insert(records.end(), rest.begin(), rest.end());
  EXPECT_EQ(second->mailbox().best, records.back().best);
  return {second->save(), records};
}

inline FitOutcome run_fit(Backend& backend, const qnudge::test::FitProblem& p, std::uint64_t seed) {
  const auto session = backend.open(p.network);
  const auto images = session->upload(p.images);
  const Layer& l = p.description();
  FitOutcome outcome{session->gram_sums(p.layer, images, p.targets), {}, {}, {}};
  const GramForm form = make_gram_form(p.network, l, l.params, outcome.sums, p.targets.exponent, 0.01);
  const GramOptions gram{.parents = 1 + static_cast<std::int32_t>(seed % 4),
                         .offspring = 3,
                         .seed = seed,
                         .rate = 0.15,
                         .joint_gain = seed % 3 != 0};
  outcome.gram = run_in_two([&] { return session->prepare_gram(p.layer, form, gram); }, 2 * kFitEvery + 1);
  outcome.gains = outcome.gram.state.gains;
  const ChannelOptions channel{.offspring = 3,
                               .generations = 3,
                               .seed = seed,
                               .mutation = seed % 2 ? MutationKind::residual : MutationKind::uniform,
                               .rate = 0.3,
                               .rate_end = 0.1};
  const auto residual = residual_targets(l, l.params);
  outcome.channel =
      run_in_two([&] { return session->prepare_channels(p.layer, images, p.targets, channel, residual); }, 4);
  return outcome;
}

inline void expect_equal_fit(const MakeBackend& make, std::uint64_t seed) {
  const qnudge::test::FitProblem problem(seed, static_cast<std::size_t>(seed % 5));
  const FitOutcome expected = run_fit(*make_host_backend({}), problem, seed);
  for (const Variant& v : {Variant{1, 0, 0, true, seed, 1}, {3, 2, 0, false, seed, 3}, {2, 3, 0, true, seed, 1}}) {
    const FitOutcome found = run_fit(*make(v), problem, seed);
    const std::string what = fmt::format("seed {} layer {} images {}", seed, problem.layer, v.images);
    expect_equal(found.sums, expected.sums, what + ", sums");
    expect_equal(found.gram, expected.gram, what + ", gram");
    EXPECT_EQ(found.gains, expected.gains) << what;
    expect_equal(found.channel, expected.channel, what + ", channel");
  }
}

}  // namespace qnudge::cuda::test
