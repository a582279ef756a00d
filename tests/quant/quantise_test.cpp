// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"
#include "support/naive_network.hpp"
#include "support/random_graph.hpp"

namespace qnudge {
namespace {

using test::GraphOf;
using test::Reals;

const Grid kPaper{4, GridScheme::per_layer, GridScale::pow2, GridRange::max};
constexpr std::int32_t kBiasEnd = 1 << 23;

/// in -> 1x1 convolution -> BatchNorm -> output or max pool, with exponents -5 in and -3 out (which a float output
/// ignores, whatever it is).
IntNetwork one_layer(const std::vector<float>& weights, const std::vector<float>& scale,
                     const std::vector<float>& shift, bool output = false,
                     BatchNormMode mode = BatchNormMode::separate) {
  const auto k = static_cast<std::int64_t>(scale.size());
  GraphOf g({1, 1, static_cast<std::int64_t>(weights.size()) / k});
  const int norm = g.batch_norm(g.conv(0, k, weights), scale, shift);
  if (!output) g.pool(WindowKind::max, norm, {});
  IntNetwork network = lower(g.graph(), mode);
  set_exponents(network, output ? std::vector{-5, 3} : std::vector{-5, -3, -3});
  return network;
}

double constant_value(const LayerParams& params, std::size_t k) {
  return static_cast<double>(params.bias[k]) * static_cast<double>(params.multiplier[k]);
}

void expect_sound(const LayerParams& params, const Layer& layer) {
  const auto k = static_cast<std::size_t>(layer.filter.k);
  ASSERT_TRUE(params.scale.size() == k && params.bias.size() == k && params.multiplier.size() == k);
  ASSERT_EQ(params.frozen.size(), k);
  ASSERT_EQ(params.codes.size(), layer.weights.size());
  const int limit = 1 << (params.bits - 1);
  for (const int code : params.codes) ASSERT_TRUE(code >= -limit && code < limit) << code;
  for (std::size_t i = 0; i < k; ++i) {
    ASSERT_TRUE(std::isnormal(params.multiplier[i]) && params.multiplier[i] > 0.0f);
    ASSERT_LT(std::abs(params.bias[i]), kBiasEnd);
    if (params.frozen[i] == 0) continue;
    const auto taps = static_cast<std::size_t>(layer.filter.taps());
    for (std::size_t j = 0; j < taps; ++j) ASSERT_EQ(params.codes[i * taps + j], 0);
  }
}

TEST(Rescale, RoundsOnAGridThatIsCoarserByAFactor) {
  const IntNetwork network = one_layer({1.0f, -1.0f, 0.1875f, -0.0625f, 0, 0, 0, 0}, {2.0f, 1.0f}, {3.0f, 1.0f});
  LayerParams params = quantise_layer(network, network.layer(0), kPaper);
  const LayerParams before = params;
  ASSERT_EQ(params.frozen, (std::vector<std::uint8_t>{0, 1}));
  rescale(network.layer(0), 1.5, params);  // steps of 0.1875
  EXPECT_EQ(params.codes, (std::vector<std::int8_t>{5, -5, 1, 0, 0, 0, 0, 0}));
  EXPECT_EQ(params.multiplier, (std::vector<float>{before.multiplier[0] * 1.5f, before.multiplier[1]}));
  EXPECT_EQ(params.scale, (std::vector<float>{before.scale[0] * 1.5f, before.scale[1]}));
  EXPECT_EQ(params.bias, before.bias);
  params.multiplier[0] = std::numeric_limits<float>::max();
  rescale(network.layer(0), 2.0, params);
  EXPECT_EQ(params.multiplier[0], std::numeric_limits<float>::max()) << "would no longer be a normal float";
  EXPECT_EQ(params.codes[0], 5);
}

TEST(QuantiseLayer, CodesBiasAndMultiplierByHand) {
  const IntNetwork network = one_layer({1.0f, -1.0f, 0.1875f, -0.0625f}, {2.0f}, {3.0f});
  const LayerParams params = quantise_layer(network, network.layer(0), kPaper);
  EXPECT_EQ(params.scale, (std::vector<float>{0.125f}));             // int_bits 0, frac_bits 3
  EXPECT_EQ(params.codes, (std::vector<std::int8_t>{7, -8, 2, 0}));  // 8 clamps; 1.5 and -0.5 go to even
  EXPECT_EQ(params.multiplier, (std::vector<float>{0.125f * 2 / 32 * 8}));
  EXPECT_EQ(params.bias, (std::vector<std::int32_t>{384}));  // 3 / (0.125 * 2 / 32)
  EXPECT_EQ(params.frozen, (std::vector<std::uint8_t>{0}));

  const IntNetwork output = one_layer({1.0f, -1.0f, 0.1875f, -0.0625f}, {2.0f}, {3.0f}, true);
  ASSERT_TRUE(output.float_output());
  EXPECT_EQ(quantise_layer(output, output.layer(0), kPaper).multiplier, (std::vector<float>{0.125f * 2 / 32}));
}

TEST(QuantiseLayer, BatchNormThatSwitchesAChannelOffMakesAConstant) {
  const std::vector<float> scales = {0.0f, -0.0f, 1e-12f, -1e-12f, 1e-38f, 1e-44f, 1.0f};
  for (const float shift : {0.37f, -2.5f, 1e-20f, 0.0f, 1e7f}) {
    for (const bool output : {false, true}) {
      const IntNetwork network = one_layer({1, 2, 3, 4, 5, 6, 7}, scales, std::vector<float>(7, shift), output);
      const Layer& layer = network.layer(0);
      for (const Grid& grid : test::all_grids()) {
        const LayerParams params = quantise_layer(network, layer, grid);
        expect_sound(params, layer);
        for (std::size_t k = 0; k < 6; ++k) {
          const double value = static_cast<double>(shift) * (output ? 1.0 : 8.0);
          const double rounding = params.frozen[k] ? 0.0 : static_cast<double>(params.multiplier[k]) / 2;
          EXPECT_NEAR(constant_value(params, k), value, rounding + std::ldexp(std::abs(value), -22)) << k;
          // With a tiny scale but no shift there is nothing to rescue: the channel stays as it is.
          if (k < 2 || k == 5 || std::abs(shift) > 0.1f) {
            EXPECT_EQ(params.frozen[k], 1) << k << " shift " << shift;
          }
          if (params.frozen[k] == 1) {
            int exponent = 0;
            EXPECT_EQ(std::frexp(params.multiplier[k], &exponent), 0.5f);
            if (shift != 0.0f) {
              EXPECT_GE(std::abs(params.bias[k]), 1 << 20);
              EXPECT_LE(std::abs(params.bias[k]), 1 << 22);
            }
          }
        }
        EXPECT_EQ(params.frozen[6], shift > 1e5f);
      }
    }
  }
}

TEST(QuantiseLayer, DeadChannelsAreExactConstants) {
  for (const Grid& grid : test::all_grids()) {
    const IntNetwork network = one_layer({0, 0, 1, -2, 0, 0}, {1.5f, 1, -3}, {0.3f, 0.1f, -0.7f});
    const LayerParams params = quantise_layer(network, network.layer(0), grid);
    expect_sound(params, network.layer(0));
    EXPECT_EQ(params.frozen, (std::vector<std::uint8_t>{1, 0, 1}));
    EXPECT_NEAR(constant_value(params, 0), static_cast<double>(0.3f) * 8, 1e-6);
    EXPECT_NEAR(constant_value(params, 2), static_cast<double>(-0.7f) * 8, 1e-6);
    if (grid.scheme == GridScheme::per_channel) {
      EXPECT_EQ(params.scale[0], 1.0f);
    }
  }
}

TEST(QuantiseLayer, AllZeroLayer) {
  for (const BatchNormMode mode : {BatchNormMode::separate, BatchNormMode::fold}) {
    const IntNetwork network = one_layer({0, 0, 0, 0}, {1, 2}, {0.5f, 0}, false, mode);
    for (const Grid& grid : test::all_grids()) {
      const LayerParams params = quantise_layer(network, network.layer(0), grid);
      expect_sound(params, network.layer(0));
      EXPECT_EQ(params.codes, std::vector<std::int8_t>(4, 0));
      EXPECT_EQ(params.scale, (std::vector<float>{1, 1}));
      EXPECT_EQ(constant_value(params, 0), 4.0);
      EXPECT_EQ(constant_value(params, 1), 0.0);
    }
  }
}

TEST(QuantiseLayer, BiasAtTheLimitMakesAConstant) {
  // shift / (s_w * s_x) = shift * 256: the last value below the limit, and the first beyond it.
  const float below = static_cast<float>(kBiasEnd - 1) / 256, beyond = static_cast<float>(kBiasEnd) / 256;
  const IntNetwork network = one_layer({1, 1, 1, 1}, {1, 1, 1, 1}, {below, beyond, -below, -beyond});
  const LayerParams params = quantise_layer(network, network.layer(0), kPaper);
  EXPECT_EQ(params.frozen, (std::vector<std::uint8_t>{0, 1, 0, 1}));
  EXPECT_EQ(params.bias[0], kBiasEnd - 1);
  EXPECT_EQ(params.bias[2], 1 - kBiasEnd);
  EXPECT_EQ(constant_value(params, 1), static_cast<double>(beyond) * 8);
}

TEST(QuantiseLayer, ExtremeValuesStaySound) {
  const float huge = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  for (const float w : {huge, tiny, 1.0f})
    for (const float scale : {huge, -huge, tiny, -tiny, 1.0f})
      for (const float shift : {huge, -huge, tiny, 0.0f})
        for (const bool output : {false, true}) {
          const IntNetwork network = one_layer({w}, {scale}, {shift}, output);
          for (const Grid& grid : test::all_grids()) {
            expect_sound(quantise_layer(network, network.layer(0), grid), network.layer(0));
          }
        }
}

TEST(QuantiseLayer, StandAloneBatchNormHasSignCodesWhateverTheGrid) {
  GraphOf g({1, 1, 3});
  g.pool(WindowKind::max, g.batch_norm(0, {0.3f, -0.3f, 0}, {1, 2, 0.25f}), {});
  IntNetwork network = lower(g.graph(), BatchNormMode::fold);
  set_exponents(network, std::vector{-5, -4, -4});
  for (const Grid& grid : test::all_grids()) {
    const LayerParams params = quantise_layer(network, network.layer(0), grid);
    EXPECT_EQ(params.bits, 2);
    EXPECT_EQ(params.codes, (std::vector<std::int8_t>{1, -1, 0}));
    EXPECT_EQ(params.multiplier[0], 0.3f / 2);
    EXPECT_EQ(constant_value(params, 2), 4.0);
  }
}

/// |integer layer - float layer| <= weight rounding + bias rounding + output rounding, all in real units.
TEST(QuantiseLayer, DequantisedOutputIsWithinTheRoundingBound) {
  int checked = 0;
  for (std::uint64_t seed = 0; checked < 60; ++seed) {
    const Graph whole = test::random_graph(seed);
    IntNetwork network = lower(whole, seed % 2 == 0 ? BatchNormMode::separate : BatchNormMode::fold);
    if (network.layers.empty() || network.at(network.layer(0).node).inputs != std::vector{0}) continue;
    ++checked;
    const Reals input = test::random_reals(whole.input_shape().size(), seed);
    calibrate(network, test::ranges_of(whole, {input}));
    std::vector<std::int8_t> codes(input.size());
    quantise_input(network, std::vector<float>(input.begin(), input.end()), codes);
    Layer& layer = network.layer(0);
    const IntNode& node = network.at(layer.node);
    const double s_x = std::ldexp(1.0, network.at(0).exponent);
    const double s_out = layer.node == network.output ? 1.0 : std::ldexp(1.0, node.exponent);
    Reals x;
    for (const int code : codes) x.push_back(code * s_x);
    const Reals wanted =
        test::real_conv(layer.conv, layer.filter, layer.in, layer.out, {layer.weights.begin(), layer.weights.end()}, x);
    for (const Grid& grid : test::all_grids()) {
      layer.params = quantise_layer(network, layer, grid);
      expect_sound(layer.params, layer);
      std::vector<double> off;
      const auto taps = static_cast<std::size_t>(layer.filter.taps());
      for (std::size_t i = 0; i < layer.weights.size(); ++i) {
        off.push_back(static_cast<double>(layer.weights[i]) -
                      layer.params.codes[i] * static_cast<double>(layer.params.scale[i / taps]));
      }
      const Reals slack = test::real_conv(layer.conv, layer.filter, layer.in, layer.out, off, x, true);
      const test::NaiveTensor got = test::naive_conv(network, node, codes, layer.node == network.output);
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::size_t k = i % layer.gain.size();
        double real = wanted[i] * layer.gain[k] + layer.shift[k];
        double bound = slack[i] * layer.gain[k] + static_cast<double>(layer.params.multiplier[k]) * s_out / 2;
        double value = 0.0;
        if (layer.node == network.output) {
          value = static_cast<double>(got.values[i]);
          real = node.low == 0 ? std::max(real, 0.0) : real;
        } else {
          value = got.codes[i] * s_out;
          bound += s_out / 2;
          real = std::min(std::max(real, node.low * s_out), node.high * s_out);
        }
        ASSERT_LE(std::abs(value - real), bound * 1.0001 + 1e-5 * (1 + std::abs(real)))
            << "random_graph(" << seed << ") " << grid.bits << " bits, element " << i;
      }
    }
  }
}

TEST(CorrectBias, MakesTheMeansAgree) {
  const IntNetwork network = one_layer({1, 1, 0, 1}, {0.5f, 1, 1, 1}, {0, 0, 0.5f, 0});
  LayerParams params = quantise_layer(network, network.layer(0), kPaper);
  const std::int32_t kept = params.bias[2];
  // unit of an accumulator: s_w * gain * s_x = 0.125 * gain / 32 = gain / 256
  correct_bias(network, network.layer(0), std::vector{1.0, -3.0 / 512, 9.0, 1e30}, std::vector{10.25, 1.0, 5.0, 0.0},
               params);
  EXPECT_EQ(params.bias[0], 502);  // 512 - 10.25
  EXPECT_EQ(params.bias[1], -2);   // -1.5 - 1 = -2.5, half to even
  EXPECT_EQ(params.bias[2], kept);
  EXPECT_EQ(params.bias[3], kBiasEnd - 1);
  EXPECT_THROW(correct_bias(network, network.layer(0), std::vector{1.0}, std::vector{1.0}, params), Error);

  const IntNetwork output = one_layer({1}, {1}, {0}, true);
  params = quantise_layer(output, output.layer(0), kPaper);
  correct_bias(output, output.layer(0), std::vector{1.0}, std::vector{0.0}, params);
  EXPECT_EQ(params.bias[0], 256);
}

TEST(WorstAccumulator, BoundsWhatTheInputCanReach) {
  const auto network_with = [](bool relu, bool pooled) {
    GraphOf g({1, 1, 2});
    int at = g.conv(0, 2, {1, 0, 0, 1});
    if (relu) at = g.clip(at, 0.0f, 3.125f);
    if (pooled) at = g.concat({g.pool(WindowKind::max, at, {})});
    g.pool(WindowKind::max, g.conv(at, 2, {1, -1, 0.5f, 0.25f}, {0, 1}), {});
    IntNetwork network = lower(g.graph(), BatchNormMode::separate);
    std::vector<int> exponents(network.nodes.size(), -5);
    set_exponents(network, exponents);
    return network;
  };
  const auto worst = [](const IntNetwork& network) {
    const LayerParams params = quantise_layer(network, network.layer(1), kPaper);  // codes 7 -8 | 4 2, bias 0 | 256
    EXPECT_EQ(params.codes, (std::vector<std::int8_t>{7, -8, 4, 2}));
    EXPECT_EQ(params.bias, (std::vector<std::int32_t>{0, 256}));
    return std::pair(worst_accumulator(network, network.layer(1), params),
                     worst_reachable_accumulator(network, network.layer(1), params));
  };
  EXPECT_EQ(worst(network_with(false, false)),
            std::pair(std::int64_t{7 * 127 + 8 * 128}, std::int64_t{2 * 1024 + 256}));
  // ReLU with an upper bound of 100 codes, seen through a pooling and a concatenation too.
  for (const bool pooled : {false, true}) {
    EXPECT_EQ(worst(network_with(true, pooled)), std::pair(std::int64_t{6 * 100 + 256}, std::int64_t{2 * 800 + 256}));
  }
}

TEST(WorstAccumulator, NeverBelowWhatRandomCodesGive) {
  std::mt19937_64 engine(1);
  const IntNetwork network = one_layer({1, -1, 0.5f, 0.3f, -0.2f, 1}, {1, 1}, {0.1f, -0.4f});
  const Layer& layer = network.layer(0);
  LayerParams params = quantise_layer(network, layer, kPaper);
  const std::int64_t reachable = worst_reachable_accumulator(network, layer, params);
  for (int trial = 0; trial < 500; ++trial) {
    for (auto& code : params.codes) code = static_cast<std::int8_t>(static_cast<int>(engine() % 16) - 8);
    std::vector<std::int8_t> x(3);
    for (auto& code : x) code = engine() % 2 ? std::int8_t{127} : std::int8_t{-128};
    for (std::size_t k = 0; k < 2; ++k) {
      std::int64_t sum = 0;
      for (std::size_t c = 0; c < 3; ++c) sum += params.codes[k * 3 + c] * x[c];
      EXPECT_LE(std::abs(sum) + std::abs(params.bias[k]), worst_accumulator(network, layer, params));
    }
    EXPECT_LE(worst_accumulator(network, layer, params), reachable);
  }
}

TEST(PackedSize, CountsBitsBiasesAndMultipliers) {
  IntNetwork network = one_layer({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 1}, {0, 0, 0});
  Grid grid = kPaper;
  grid.bits = 3;
  network.layer(0).params = quantise_layer(network, network.layer(0), grid);
  EXPECT_EQ(packed_size_bytes(network), 4 + 12 + 4);  // 27 bits, three biases, one shared multiplier
  grid.scheme = GridScheme::per_channel;
  network.layer(0).params = quantise_layer(network, network.layer(0), grid);
  EXPECT_EQ(packed_size_bytes(network), 4 + 12 + 12);
}

TEST(KindsOfNodes, AreDistinct) {
  EXPECT_EQ(kind_of(IntNode{}), "input");
  EXPECT_EQ(kind_of(IntNode{.what = IntLayer{}}), "conv");
  EXPECT_EQ(kind_of(IntNode{.what = IntTable{}}), "clamp");
  EXPECT_EQ(kind_of(IntNode{.what = IntTable{.function = sigmoid_function()}}), "lookup");
  EXPECT_EQ(kind_of(IntNode{.what = IntMove{}}), "view");
  EXPECT_EQ(kind_of(IntNode{.what = IntMove{{{{}}}}}), "concat");
  EXPECT_EQ(kind_of(IntNode{.what = IntWindow{.kind = WindowKind::average}}), "average_pool");
}

}  // namespace
}  // namespace qnudge
