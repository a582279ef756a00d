// SPDX-License-Identifier: MIT
// Reconstruction errors and the search by them, planned and tiled against plain evaluation, on autoencoders.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/naive_network.hpp"
#include "support/series_problem.hpp"

namespace qnudge {
namespace {

/// Straight from the definition: int64 sums, one window at a time, the grid by std::nearbyint.
std::vector<std::int64_t> naive_errors(const IntNetwork& network, const ImageSet& set) {
  const auto size = static_cast<std::size_t>(network.nodes.front().shape.size());
  const double steps = std::ldexp(1.0, 4 - network.nodes.front().exponent);
  std::vector<std::int64_t> errors;
  for (std::size_t i = 0; i < static_cast<std::size_t>(set.count); ++i) {
    const auto run = test::naive_run(network, std::span(set.codes).subspan(i * size, size));
    const auto& output = run[static_cast<std::size_t>(network.output)];
    std::int64_t sum = 0;
    for (std::size_t k = 0; k < size; ++k) {
      const double value = network.float_output() ? static_cast<double>(output.values[k])
                                                  : std::ldexp(output.codes[k], network.at(network.output).exponent);
      const double on_grid = std::nearbyint(std::min(std::max(value * steps, -32767.0), 32767.0));
      const auto difference = static_cast<std::int64_t>(on_grid) - set.originals[i * size + k];
      sum += difference * difference;
    }
    errors.push_back(std::min<std::int64_t>(sum, (std::int64_t{1} << 43) - 1));
  }
  return errors;
}

TEST(Autoencoder, ErrorsEqualTheirDefinitionOnEveryBackend) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const IntNetwork network = test::random_autoencoder(seed);
    ASSERT_EQ(network.at(network.output).shape, network.nodes.front().shape);
    const ImageSet windows = test::random_windows(network, 7, seed);
    const std::vector<std::int64_t> expected = naive_errors(network, windows);
    const auto reference = make_reference_backend();
    const auto host = make_host_backend({.threads = 2, .tile = 2});
    const auto own = make_host_backend({.threads = 1, .tile = 4, .vendor_kernels = false});
    for (Backend* backend : {reference.get(), host.get(), own.get()}) {
      const auto session = backend->open(network);
      const Evaluation found = session->evaluate(session->upload(windows));
      EXPECT_EQ(found.errors, expected) << backend->name() << ", seed " << seed;
      EXPECT_TRUE(found.predicted.empty());
      EXPECT_EQ(found.correct + found.cross_entropy + found.kl, 0);
    }
  }
}

TEST(Autoencoder, SearchByLayerEqualsThePlainOneForAnyChunkTileAndThreads) {
  for (std::uint64_t seed = 100; seed < 106; ++seed) {
    const IntNetwork network = test::random_autoencoder(seed);
    const ImageSet windows = test::random_windows(network, 9, seed);
    const auto run = [&](Backend& backend, int layer, std::int32_t chunk) {
      PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2, .chunk = chunk};
      options.fitness = FitnessKind::reconstruction;
      options.mutation = layer % 2 ? MutationKind::residual : MutationKind::uniform;
      const auto session = backend.open(network);
      const auto targets = residual_targets(network.layer(layer), network.layer(layer).params);
      const auto search = session->prepare(layer, session->upload(windows), options, targets);
      const StopFlag never{false};
      search->start();
      search->repeat(4, never, [&] {
        for (int c = 0; c < search->chunks(); ++c) search->mutate(c), search->evaluate(c);
        search->select();
      });
      return search->save();
    };
    const std::vector<std::int64_t> errors = naive_errors(network, windows);
    for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
      const PopulationState expected = run(*make_reference_backend(), layer, 0);
      EXPECT_EQ(expected.start_fitness, -std::accumulate(errors.begin(), errors.end(), std::int64_t{0}));
      EXPECT_GE(expected.fitness.front(), expected.start_fitness);
      for (const auto& [threads, tile, chunk] : {std::tuple{1, 2, 0}, {2, 4, 2}, {3, 1, 5}}) {
        const PopulationState found = run(*make_host_backend({.threads = threads, .tile = tile}), layer, chunk);
        EXPECT_EQ(found.parents, expected.parents) << "seed " << seed << " layer " << layer;
        EXPECT_EQ(found.fitness, expected.fitness) << "seed " << seed << " layer " << layer;
      }
    }
  }
}

TEST(Autoencoder, SetsThatContradictTheNetworkAreRefused) {
  const IntNetwork network = test::random_autoencoder(1);
  const auto session = make_host_backend({.threads = 1})->open(network);
  ImageSet windows = test::random_windows(network, 2, 1);
  EXPECT_THROW(session->prepare(0, session->upload(windows), {.fitness = FitnessKind::top1}, {}), Error);
  windows.originals.pop_back();
  EXPECT_THROW(session->upload(windows), Error);
  windows = test::random_windows(network, 2, 1);
  windows.reference_logits.assign(windows.codes.size(), 0);
  EXPECT_THROW(session->upload(windows), Error);
  windows = test::random_windows(network, 2, 1);
  windows.originals.clear();
  EXPECT_THROW(session->prepare(0, session->upload(windows), {.fitness = FitnessKind::reconstruction}, {}), Error);

  const IntNetwork classifier = test::random_network(3);
  ImageSet images = test::random_images(classifier, 2, 1);
  images.originals.assign(images.codes.size(), 0);
  images.reference_logits.clear();
  try {
    make_host_backend({.threads = 1})->open(classifier)->upload(images);
    ADD_FAILURE() << "a classifier's output is no reconstruction";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("a network that gives its input back"), std::string::npos);
  }
}

}  // namespace
}  // namespace qnudge
