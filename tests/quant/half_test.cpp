// SPDX-License-Identifier: MIT
// What half activations add to the network: bounds, filters, layers left unquantised, inputs, tables.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using test::GraphOf;
using test::sigmoid_table;
using test::table_of;

/// in -> 1x1 convolution -> max pool, in at 2^-5 and the rest at 2^-3.
IntNetwork one_layer(const std::vector<float>& weights, std::int64_t k, const std::vector<float>& bias) {
  GraphOf g({1, 1, static_cast<std::int64_t>(weights.size()) / k});
  g.pool(WindowKind::max, g.conv(0, k, weights, bias), {});
  IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  network.activations = Activations::half;
  set_exponents(network, std::vector{-5, -3, -3});
  return network;
}

TEST(HalfLayer, KeepsWeightsAsHalvesInUnitsOfEightBitSteps) {
  const IntNetwork network = one_layer({1.0f, -0.3f, -1e-12f, 0.0f, 0.0f, 0.0f}, 2, {0.5f, 2.0f});
  const Layer& layer = network.layer(0);
  const LayerParams half = half_layer(network, layer), eight = quantise_layer(network, layer, Grid{.bits = 8});
  EXPECT_EQ(half.bits, kHalfBits);
  EXPECT_TRUE(half.codes.empty());
  EXPECT_EQ(half.scale, eight.scale);
  EXPECT_EQ(half.multiplier, eight.multiplier);
  EXPECT_EQ(half.bias, eight.bias);
  EXPECT_EQ(half.frozen, (std::vector<std::uint8_t>{0, 1}));
  const std::vector<Half> filter = half_filter(layer, half);
  ASSERT_EQ(filter.size(), 6u);
  const float step = half.scale[0];
  EXPECT_EQ(to_float(filter[0]) * step, 1.0f);
  EXPECT_NEAR(to_float(filter[1]) * step, -0.3f, 0.3f / 2048);
  EXPECT_EQ(filter[2], Half{}) << "rounds to zero, of either sign";
  for (std::size_t i = 3; i < 6; ++i) EXPECT_EQ(filter[i], Half{}) << "frozen";
}

TEST(HalfLayer, CodesAreTheirOwnHalves) {
  const IntNetwork network = one_layer({1.0f, -0.3f, 0.9f, -1.0f}, 2, {0, 0});
  const LayerParams params = quantise_layer(network, network.layer(0), Grid{.bits = 3});
  const std::vector<Half> filter = half_filter(network.layer(0), params);
  for (std::size_t i = 0; i < filter.size(); ++i) EXPECT_EQ(to_float(filter[i]), params.codes[i]);
}

TEST(HalfBounds, AreZeroOfAReluTheRealValueOfAClipOrNone) {
  IntNode node{.what = IntLayer{}, .exponent = -3};
  EXPECT_EQ(half_bounds(node).low, -65504.0f);
  EXPECT_EQ(half_bounds(node).high, 65504.0f);
  node.low = 0;
  node.clip_high = 6.3;  // as a code it would be rounded
  EXPECT_EQ(half_bounds(node).low, 0.0f);
  EXPECT_EQ(half_bounds(node).high, static_cast<float>(6.3 * 8));
  node.clip_low = -0.7;
  EXPECT_EQ(half_bounds(node).low, static_cast<float>(-0.7 * 8));
  node.clip_high = 0;
  node.high = 0;
  EXPECT_EQ(half_bounds(node).high, 0.0f);
}

TEST(QuantiseInput, HalvesAreInUnitsOfTheScaleClampedAndNeverNaN) {
  const IntNetwork network = one_layer({1, 1, 1, 1, 1}, 1, {0});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> sample{0.1f, -3.0f, 1e9f, -std::numeric_limits<float>::infinity(), nan};
  std::vector<Half> halves(5);
  quantise_input(network, sample, halves);
  EXPECT_EQ(halves[0], to_half(0.1f * 32));
  EXPECT_EQ(to_float(halves[1]), -96.0f);
  EXPECT_EQ(to_float(halves[2]), 65504.0f);
  EXPECT_EQ(to_float(halves[3]), -65504.0f);
  EXPECT_EQ(halves[4], Half{});
  halves.pop_back();
  EXPECT_THROW(quantise_input(network, sample, halves), Error);
}

TEST(HalfTable, IsTheSigmoidOfEveryHalf) {
  GraphOf g({1, 1, 1});
  g.pool(WindowKind::average, g.add(sigmoid_table(), {g.conv(0, 1, {1})}), {});
  IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  network.activations = Activations::half;
  set_exponents(network, std::vector{-3, -4, -7, -7});
  const std::vector<Half>& table = table_of(network.at(2)).halves;
  ASSERT_EQ(table.size(), 65536u);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const double x = std::ldexp(static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits)})), -4);
    const double wanted = 128 / (1 + std::exp(-x)), got = static_cast<double>(to_float(table[bits]));
    EXPECT_NEAR(got, wanted, wanted / 1024 + 0x1p-20) << x;
  }
}

}  // namespace
}  // namespace qnudge
