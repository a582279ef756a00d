// SPDX-License-Identifier: MIT
// Half activations on the host: the reference equals the definition, fp32 kernels stay near it, and what the plan,
// tiles and threads rearrange changes no byte.
#include <gtest/gtest.h>

#include "qnudge/core/error.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "support/half_tensors.hpp"
#include "support/naive_half_network.hpp"
#include "support/random_network.hpp"

namespace qnudge {
namespace {

constexpr double kShare = 1.0 / 64;

class HalfNetworks : public testing::TestWithParam<int> {};

test::HalfTensors naive_tensors(const IntNetwork& network, const ImageSet& images) {
  test::HalfTensors all;
  const auto size = static_cast<std::size_t>(network.nodes.front().shape.size());
  for (std::int64_t i = 0; i < images.count; ++i) {
    const auto run =
        test::naive_half_run(network, std::span(images.halves).subspan(static_cast<std::size_t>(i) * size, size));
    for (std::size_t n = 0; n < run.size(); ++n) {
      auto& values = all[static_cast<int>(n)];
      values.insert(values.end(), run[n].begin(), run[n].end());
    }
  }
  return all;
}

TEST_P(HalfNetworks, TheReferenceEqualsTheDefinitionAndTheHostIsNear) {
  for (int i = 0; i < 20; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 20 + i);
    const IntNetwork network = test::random_network(seed, Activations::half);
    const ImageSet images = test::random_images(network, 5, seed);
    const test::HalfTensors wanted = naive_tensors(network, images);
    const auto reference = make_reference_backend();
    EXPECT_EQ(test::half_tensors(*reference, network, images), wanted) << "seed " << seed;
    for (const HostOptions& options : {HostOptions{.threads = 2, .tile = 2}, HostOptions{.threads = 1, .tile = 4}}) {
      test::expect_near(test::half_tensors(*make_host_backend(options), network, images), wanted, kShare,
                        fmt::format("seed {}", seed));
    }
  }
}

struct Outcome {
  std::vector<std::int8_t> parents;
  std::vector<std::int64_t> fitness;
  std::int64_t start = 0;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome evolve(Backend& backend, const IntNetwork& network, const ImageSet& images, int layer, std::uint64_t seed,
               std::int32_t chunk) {
  const auto session = backend.open(network);
  const PopulationOptions options{.parents = 3,
                                  .offspring = 5,
                                  .seed = seed,
                                  .fitness = static_cast<FitnessKind>(seed % 4),
                                  .rate = 0.2,
                                  .chunk = chunk};
  const auto search = session->prepare(layer, session->upload(images), options, {});
  const StopFlag never{false};
  search->start();
  search->repeat(3, never, [&] {
    for (int c = 0; c < search->chunks(); ++c) search->mutate(c), search->evaluate(c);
    search->select();
  });
  const PopulationState state = search->save();
  return {state.parents, state.fitness, state.start_fitness};
}

TEST_P(HalfNetworks, SearchIsTheSameForAnyChunkTileAndThreads) {
  for (int i = 0; i < 5; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 + GetParam() * 5 + i);
    const IntNetwork network = test::random_network(seed, Activations::half);
    const ImageSet images = test::random_images(network, 7, seed);
    for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
      const LayerParams& params = network.layer(layer).params;
      if (!network.layer(layer).tunable || params.bits == kHalfBits) continue;
      // Plain kernels sum as the reference does, which puts every candidate into the network and runs all of it.
      const Outcome naive = evolve(*make_reference_backend(), network, images, layer, seed, 0);
      const Outcome vendor = evolve(*make_host_backend({.threads = 1, .tile = 2}), network, images, layer, seed, 0);
      for (const auto& [threads, chunk] : {std::pair{1, 5}, {2, 2}, {3, 1}}) {
        const HostOptions plain{.threads = threads, .tile = 1 + chunk, .vendor_kernels = false};
        EXPECT_EQ(evolve(*make_host_backend(plain), network, images, layer, seed, chunk), naive) << "seed " << seed;
        EXPECT_EQ(evolve(*make_host_backend({.threads = threads, .tile = 2}), network, images, layer, seed, chunk),
                  vendor)
            << "seed " << seed;
      }
    }
  }
}

/// Against means of products, taken one by one.
TEST_P(HalfNetworks, AccumulatorMeans) {
  const auto seed = static_cast<std::uint64_t>(2000 + GetParam());
  const IntNetwork network = test::random_network(seed, Activations::half);
  const ImageSet images = test::random_images(network, 9, seed);
  const test::HalfTensors tensors = naive_tensors(network, images);
  const auto reference = make_reference_backend()->open(network);
  const auto host = make_host_backend({.threads = 3, .tile = 4, .vendor_kernels = false})->open(network);
  for (int l = 0; l < static_cast<int>(network.layers.size()); ++l) {
    const Layer& layer = network.layer(l);
    const auto means = reference->accumulator_means(l, reference->upload(images));
    EXPECT_EQ(host->accumulator_means(l, host->upload(images)), means) << "seed " << seed << " layer " << l;
    IntNetwork bare = network;  // the layer as output, without bias, gives its sums
    Layer& probe = bare.layer(l);
    std::fill(probe.params.bias.begin(), probe.params.bias.end(), 0);
    std::fill(probe.params.multiplier.begin(), probe.params.multiplier.end(), 1.0f);
    IntNode node = bare.at(layer.node);
    node.low = -128;
    std::vector<double> sums(means.size()), sizes(means.size());
    const auto in = static_cast<std::size_t>(layer.in.size());
    const std::vector<double>& inputs = tensors.at(node.inputs[0]);
    for (std::size_t i = 0; i < static_cast<std::size_t>(images.count); ++i) {
      const test::Doubles image(inputs.begin() + static_cast<std::ptrdiff_t>(i * in),
                                inputs.begin() + static_cast<std::ptrdiff_t>((i + 1) * in));
      const test::Doubles y = test::naive_half_conv(bare, node, image, true);
      for (std::size_t e = 0; e < y.size(); ++e) {
        sums[e % sums.size()] += y[e];
        sizes[e % sums.size()] += std::abs(y[e]);
      }
    }
    const auto positions = static_cast<double>(images.count * layer.out.h * layer.out.w);
    for (std::size_t k = 0; k < means.size(); ++k) {
      const double rounding =
          128.0 * static_cast<double>(layer.filter.taps()) / 8192;  // of inputs to 2^-12, by weights
      EXPECT_NEAR(means[k], sums[k] / positions, rounding + 1e-6 * sizes[k] / positions) << "layer " << l;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, HalfNetworks, testing::Range(0, 6));

TEST(HalfActivations, CodesAndFitsByChannelAreRefused) {
  const IntNetwork network = test::random_network(1, Activations::half);
  ImageSet images = test::random_images(network, 2, 1);
  const auto session = make_host_backend({})->open(network);
  const auto handle = session->upload(images);
  EXPECT_THROW(session->gram_sums(0, handle, {}), Error);
  EXPECT_THROW(session->prepare_channels(0, handle, {}, {}, {}), Error);
  EXPECT_THROW(session->prepare_gram(0, {}, {}), Error);
  images.codes.assign(images.halves.size(), 0);
  images.halves.clear();
  EXPECT_THROW(session->upload(images), Error);
}

}  // namespace
}  // namespace qnudge
