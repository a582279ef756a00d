// SPDX-License-Identifier: MIT
#include "qnudge/quant/residual.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/philox.hpp"

namespace qnudge {
namespace {

constexpr double kTwo32 = 4294967296.0;

struct Weights {
  std::vector<std::int8_t> codes;
  std::vector<std::int16_t> targets;
};

/// Nearest codes of weights spread evenly over [-8, 8) steps; with `spread`, codes up to two steps off.
Weights spread_weights(std::size_t count, std::uint64_t seed, bool spread = false) {
  const test::Reals reals = test::random_reals(static_cast<std::int64_t>(count), seed, 7.0);
  Weights w;
  for (std::size_t i = 0; i < count; ++i) {
    w.targets.push_back(static_cast<std::int16_t>(std::nearbyint(reals[i] * 256)));
    w.codes.push_back(static_cast<std::int8_t>(std::nearbyint(reals[i]) + (spread ? static_cast<int>(i % 5) - 2 : 0)));
  }
  return w;
}

/// Mean probability with which these weights move.
double mean_rate(const Weights& w, const std::vector<std::uint32_t>& thresholds, std::size_t first, std::size_t last) {
  double sum = 0.0;
  for (std::size_t i = first; i < last; ++i) {
    const int distance = std::abs(w.targets[i] - w.codes[i] * 256);
    if (distance != 0) sum += thresholds.at(static_cast<std::size_t>(std::min(distance, kResidualSteps - 1))) / kTwo32;
  }
  return sum / static_cast<double>(last - first);
}

TEST(ResidualTargets, EightFractionBitsHalfToEvenSaturated) {
  Layer layer;
  layer.filter = {2, 1, 1, 3};
  layer.weights = {0.5f, -0.25f, 1.0f / 1024, 100.0f, -1e30f, 1e30f};
  LayerParams params;
  params.scale = {0.5f, 2.0f};
  EXPECT_EQ(residual_targets(layer, params), (std::vector<std::int16_t>{256, -128, 0, 12800, -32768, 32767}));
}

TEST(ResidualThresholds, MeanIsTheRate) {
  for (const bool spread : {false, true}) {
    const Weights w = spread_weights(4096, 3, spread);
    for (const double rate : {1e-4, 0.004, 0.02, 0.1, 0.3, 0.5, 0.9}) {
      const auto thresholds = residual_thresholds(w.codes, w.targets, rate, std::vector<std::uint8_t>(16));
      ASSERT_EQ(thresholds.size(), static_cast<std::size_t>(kResidualSteps));
      EXPECT_TRUE(std::is_sorted(thresholds.begin(), thresholds.end()));
      EXPECT_EQ(thresholds[0], 0u);
      EXPECT_NEAR(mean_rate(w, thresholds, 0, 4096), rate, 1e-8) << rate;
    }
  }
}

TEST(ResidualThresholds, FollowTheExponentialBelowTheCap) {
  const Weights w = spread_weights(4096, 5);
  const auto thresholds = residual_thresholds(w.codes, w.targets, 0.002, std::vector<std::uint8_t>(1));
  for (std::size_t i = 1; i < thresholds.size(); ++i) {
    const double d = static_cast<double>(i) / 256;
    const double wanted = thresholds[128] * std::exp(-(1 - 2 * d) / 0.25);
    EXPECT_NEAR(thresholds[i], std::min(wanted, kTwo32), 2.0 + 1e-6 * wanted) << i;
  }
}

TEST(ResidualThresholds, FrozenChannelsDoNotCount) {
  Weights w = spread_weights(1024, 7);
  for (std::size_t i = 512; i < 1024; ++i) w.targets[i] = static_cast<std::int16_t>(w.codes[i] * 256 + 127);
  const auto all = residual_thresholds(w.codes, w.targets, 0.02, std::vector<std::uint8_t>{0, 0});
  const auto half = residual_thresholds(w.codes, w.targets, 0.02, std::vector<std::uint8_t>{0, 1});
  EXPECT_NEAR(mean_rate(w, half, 0, 512), 0.02, 1e-8);
  EXPECT_NE(all, half);
  const auto none = residual_thresholds(w.codes, w.targets, 0.02, std::vector<std::uint8_t>{1, 1});
  EXPECT_EQ(none, std::vector<std::uint32_t>(kResidualSteps, 0u));
}

TEST(ResidualThresholds, EndsOfTheRange) {
  const Weights w = spread_weights(256, 9);
  const std::vector<std::uint8_t> frozen(1);
  EXPECT_EQ(residual_thresholds(w.codes, w.targets, 0.0, frozen), std::vector<std::uint32_t>(kResidualSteps, 0u));
  const auto certain = residual_thresholds(w.codes, w.targets, 1.0, frozen);
  for (std::size_t i = 0; i < w.codes.size(); ++i) {
    const auto distance = static_cast<std::size_t>(std::abs(w.targets[i] - w.codes[i] * 256));
    if (distance != 0) {
      EXPECT_GE(certain[distance], 4294967290u);
    }
  }
  // Nothing can move: no rate is possible, and nothing breaks.
  const std::vector<std::int8_t> codes(8, 3);
  const std::vector<std::int16_t> targets(8, 768);
  EXPECT_EQ(residual_thresholds(codes, targets, 0.5, frozen)[0], 0u);
  for (const double bad : {-0.1, 1.1, std::nan("")}) {
    EXPECT_THROW(residual_thresholds(w.codes, w.targets, bad, frozen), Error);
  }
}

}  // namespace
}  // namespace qnudge
