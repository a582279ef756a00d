// SPDX-License-Identifier: MIT
// Networks with dead tensors, 0 on all calibration images: all backends give the same bytes, and what comes out of a
// layer that reads zeros is its bias, to half a step.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/cpu/float_executor.hpp"
#include "qnudge/cuda/engine.hpp"
#include "quant/graphs.hpp"

namespace qnudge::cuda {
namespace {

using test::Tensors;
using test::Variant;

constexpr std::int64_t kImages = 5;
constexpr double kHalfStep = 0.5 + 1e-9, kHalfTolerance = 1.0 / 64;

std::unique_ptr<Backend> emulated(const Variant& v) {
  return make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{
                         .streams = v.streams, .seed = v.seed, .fuses = v.fuses, .team = v.team}),
                     {.images_per_chunk = v.images});
}

std::unique_ptr<Backend> host() {
  return make_host_backend({.threads = 2, .tile = 2});
}

/// A dead tensor that shares the scale of a loud one, so that the layer which reads it becomes a constant.
Graph tied_to_a_loud_tensor() {
  qnudge::test::GraphOf g({3, 3, 2});
  const int off = g.add(qnudge::test::relu_table(), {g.conv(0, 1, {-1, -1}, {-3})});
  const int quiet = g.conv(off, 2, {1, 2}, {0.21f, -0.05f});
  const int sum = g.add(FloatCombine{}, {0, quiet});
  g.concat({off, sum, g.conv(0, 1, {1000, 1000})});
  return g.graph();
}

/// Random networks with ReLUs that never fire and layers without weights.
Graph graph_with_dead_layers(std::uint64_t seed) {
  if (seed == 0) return tied_to_a_loud_tensor();
  Graph graph = qnudge::test::random_graph(seed);
  std::mt19937_64 random(seed);
  for (Node& node : graph.nodes) {
    auto* const layer = std::get_if<FloatLayer>(&node.what);
    if (layer == nullptr) continue;
    for (float& w : layer->weights) w = std::ldexp(w, static_cast<int>(random() % 3) * 4);
    const auto draw = random() % 6;
    if (draw == 0) std::fill(layer->bias.begin(), layer->bias.end(), -1e6f);
    if (draw == 1) std::fill(layer->weights.begin(), layer->weights.end(), 0.0f);
  }
  return graph;
}

/// The network calibrated on the images that it is run on, black ones for every fourth seed.
struct DeadNetwork {
  DeadNetwork(std::uint64_t seed, int bits, Activations activations = Activations::int8) {
    const Graph graph = graph_with_dead_layers(seed);
    std::mt19937_64 random(seed);
    const auto size = static_cast<std::size_t>(graph.input_shape().size());
    std::vector<float> samples(kImages * size, 0.0f);
    const bool black = seed % 4 == 1;
    for (float& x : samples) x = black ? 0.0f : static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    const auto read = [&](std::int64_t first, std::int64_t count, std::span<float> out) {
      std::copy_n(samples.begin() + first * static_cast<std::int64_t>(size), count * static_cast<std::int64_t>(size),
                  out.begin());
    };
    FloatExecutor(graph, 1).run(kImages, read, {.ranges = &ranges});

    network = lower(graph, seed % 2 == 0 ? BatchNormMode::separate : BatchNormMode::fold);
    network.activations = activations;
    calibrate(network, ranges);
    const Grid grid{bits, seed % 3 == 0 ? GridScheme::per_layer : GridScheme::per_channel,
                    seed % 5 < 3 ? GridScale::pow2 : GridScale::free};
    for (Layer& layer : network.layers) {
      const bool stays = network.half() && &layer == &network.layers.back();
      layer.params = stays ? half_layer(network, layer) : quantise_layer(network, layer, grid);
    }
    images = test::random_images(network, kImages, seed);
    const auto fill = [&](auto& values) {
      for (std::size_t i = 0; i < kImages; ++i) {
        quantise_input(network, std::span(samples).subspan(i * size, size), std::span(values).subspan(i * size, size));
      }
    };
    if (network.half()) {
      fill(images.halves);
    } else {
      fill(images.codes);
    }
  }

  int input_of(const Layer& layer) const { return network.at(layer.node).inputs.front(); }
  float range(int node) const { return ranges[static_cast<std::size_t>(network.at(node).source)]; }
  bool reads_zeros(const Layer& layer) const { return range(input_of(layer)) == 0.0f; }

  Ranges ranges;
  IntNetwork network;
  ImageSet images;
};

double value_of(std::span<const std::uint8_t> tensor, std::size_t i, std::size_t bytes) {
  if (bytes == 1) return static_cast<std::int8_t>(tensor[i]);
  float value = 0;
  Half half;
  std::memcpy(bytes == 4 ? static_cast<void*>(&value) : &half, tensor.data() + i * bytes, bytes);
  return bytes == 4 ? static_cast<double>(value) : static_cast<double>(to_float(half));
}

/// What a layer gives for zeros: by the contract from bias and multiplier, and that to half a step its shift.
void expect_bias(const DeadNetwork& dead, const Layer& layer, const std::vector<std::uint8_t>& out,
                 const std::string& what) {
  const IntNetwork& network = dead.network;
  const IntNode& node = network.at(layer.node);
  const bool real = layer.node == network.output && network.float_output();
  const double unit = std::ldexp(1.0, node.exponent);
  const double step = !real                            ? unit
                      : dead.range(layer.node) == 0.0f ? 1.0
                                                       : static_cast<double>(dead.range(layer.node)) / 127;
  const auto channels = static_cast<std::size_t>(layer.out.c);
  const auto bytes = static_cast<std::size_t>(network.element_bytes(layer.node));
  const HalfBounds half = half_bounds(node);
  const double low = network.half() ? static_cast<double>(half.low) : node.low;
  const double high = network.half() ? static_cast<double>(half.high) : node.high;
  for (std::size_t i = 0; i < out.size() / bytes; ++i) {
    const std::size_t k = i % channels;
    const float product = static_cast<float>(layer.params.bias[k]) * layer.params.multiplier[k];
    const double found = value_of(out, i, bytes), wanted = layer.shift[k] / (real ? 1.0 : unit);
    if (real) {
      ASSERT_EQ(found, node.low == 0 && !(product > 0.0f) ? 0.0 : static_cast<double>(product)) << what << " " << k;
      if (node.low < 0) {
        ASSERT_LE(std::abs(found - wanted), kHalfStep * step) << what << " " << k;
      }
      continue;
    }
    const double bounded = std::clamp(static_cast<double>(product), low, high);
    const double rounded = network.half() ? static_cast<double>(to_float(to_half(static_cast<float>(bounded))))
                                          : std::clamp(std::nearbyint(static_cast<double>(product)), low, high);
    ASSERT_EQ(found, rounded) << what << " " << k;
    ASSERT_LE(std::abs(bounded - std::clamp(wanted, low, high)), kHalfStep) << what << " " << k;
  }
}

/// Layers that read zeros on all images, in floats and in the integer network.
std::vector<const Layer*> dead_layers(const DeadNetwork& dead, const Tensors& tensors) {
  std::vector<const Layer*> layers;
  for (const Layer& layer : dead.network.layers) {
    const auto& input = tensors.at(dead.input_of(layer));
    const bool zeros = std::all_of(input.begin(), input.end(), [](std::uint8_t byte) { return byte == 0; });
    if (dead.reads_zeros(layer) && zeros) layers.push_back(&layer);
  }
  return layers;
}

class DeadTensors : public testing::TestWithParam<int> {};

TEST_P(DeadTensors, AllBackendsGiveTheSameBytesAndKeepTheBiases) {
  int dead_layers_seen = 0, constant = 0, black = 0;
  for (std::uint64_t seed = 0; seed < 240; ++seed) {
    const DeadNetwork dead(seed, GetParam());
    const std::string what = fmt::format("seed {}, {} bits", seed, GetParam());
    const Tensors expected = test::all_tensors(*make_reference_backend(), dead.network, dead.images);
    EXPECT_EQ(test::all_tensors(*host(), dead.network, dead.images), expected) << what;
    EXPECT_EQ(test::all_tensors(*emulated({.images = 2, .seed = seed}), dead.network, dead.images), expected) << what;
    for (const Layer* const layer : dead_layers(dead, expected)) {
      ++dead_layers_seen;
      black += dead.input_of(*layer) == 0;
      constant += layer->constant;
      expect_bias(dead, *layer, expected.at(layer->node), what + ", layer " + layer->name);
    }
  }
  EXPECT_GT(dead_layers_seen, 80);
  EXPECT_GT(constant, 0);
  EXPECT_GT(black, 40);
}

TEST_P(DeadTensors, SearchesEndTheSameOnAllBackends) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const DeadNetwork dead(seed, GetParam());
    for (int layer = 0; layer < static_cast<int>(dead.network.layers.size()); ++layer) {
      if (!dead.network.layer(layer).tunable) continue;
      PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
      options.fitness = static_cast<FitnessKind>((seed + static_cast<std::uint64_t>(layer)) % 4);
      options.mutation = layer % 2 ? MutationKind::residual : MutationKind::uniform;
      const std::string what = fmt::format("seed {}, layer {}, {} bits", seed, layer, GetParam());
      const auto search = [&](Backend& backend) {
        return test::run_search(backend, dead.network, dead.images, layer, options);
      };
      const test::Outcome expected = search(*make_reference_backend());
      test::expect_equal(search(*host()), expected, what + ", host");
      test::expect_equal(search(*emulated({.streams = 2, .images = 3, .seed = seed})), expected, what + ", emulated");
    }
  }
}

TEST_P(DeadTensors, HalvesAreNearAndEqualWhereALayerReadsZeros) {
  int dead_layers_seen = 0;
  for (std::uint64_t seed = 0; seed < 120; ++seed) {
    const DeadNetwork dead(seed, GetParam(), Activations::half);
    const std::string what = fmt::format("halves, seed {}, {} bits", seed, GetParam());
    const auto reference = make_reference_backend();
    const Tensors expected = test::all_tensors(*reference, dead.network, dead.images);
    const auto near = qnudge::test::half_tensors(*reference, dead.network, dead.images);
    for (const auto& backend : {host(), emulated({.images = 2, .seed = seed})}) {
      qnudge::test::expect_near(qnudge::test::half_tensors(*backend, dead.network, dead.images), near, kHalfTolerance,
                                what + ", " + backend->name());
      const Tensors found = test::all_tensors(*backend, dead.network, dead.images);
      for (const Layer* const layer : dead_layers(dead, expected)) {
        ++dead_layers_seen;
        EXPECT_EQ(found.at(layer->node), expected.at(layer->node)) << what << ", layer " << layer->name;
        expect_bias(dead, *layer, found.at(layer->node), what + ", layer " + layer->name);
      }
    }
  }
  EXPECT_GT(dead_layers_seen, 80);
}

INSTANTIATE_TEST_SUITE_P(Bits, DeadTensors, testing::Values(8, 4, 2));

/// Fits to rows that are all 0: no gradient, no gain, no division by nothing.
TEST(DeadTensors, FitsOfALayerThatReadsZerosEndTheSameOnHostAndDevice) {
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    qnudge::test::FitProblem problem(seed, 0);
    std::fill(problem.images.codes.begin(), problem.images.codes.end(), std::int8_t{0});
    const test::FitOutcome expected = test::run_fit(*make_host_backend({}), problem, seed);
    if (problem.network.at(problem.description().node).inputs.front() == 0) {
      for (const std::int64_t sum : expected.sums.xx) ASSERT_EQ(sum, 0) << seed;
    }
    for (const double gain : expected.gains) EXPECT_TRUE(std::isfinite(gain)) << seed;
    const test::FitOutcome found = test::run_fit(*emulated({.streams = 2, .images = 2, .seed = seed}), problem, seed);
    const std::string what = fmt::format("seed {}", seed);
    test::expect_equal(found.sums, expected.sums, what + ", sums");
    test::expect_equal(found.gram, expected.gram, what + ", gram");
    EXPECT_EQ(found.gains, expected.gains) << what;
    test::expect_equal(found.channel, expected.channel, what + ", channel");
  }
}

}  // namespace
}  // namespace qnudge::cuda
