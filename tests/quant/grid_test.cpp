// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

Layer layer_of(std::vector<float> weights, std::int64_t channels = 1) {
  Layer layer;
  layer.name = "layer";
  layer.filter = {channels, 1, 1, static_cast<std::int64_t>(weights.size()) / channels};
  layer.weights = std::move(weights);
  return layer;
}

Grid paper(int bits) {
  return {bits, GridScheme::per_layer, GridScale::pow2, GridRange::max};
}

/// Equations 1-3 by search: the smallest integer n with 2^n >= largest.
double paper_step(double largest, int bits) {
  int int_bits = -200;
  while (std::ldexp(1.0, int_bits) < largest) ++int_bits;
  const int frac_bits = bits - int_bits - 1;
  return std::ldexp(1.0, -frac_bits);
}

double error_of(const std::vector<float>& weights, int bits, double step) {
  double sum = 0.0;
  for (const float w : weights) {
    const double limit = std::ldexp(1.0, bits - 1);
    const double q = std::min(std::max(std::nearbyint(static_cast<double>(w) / step), -limit), limit - 1);
    sum += (static_cast<double>(w) - q * step) * (static_cast<double>(w) - q * step);
  }
  return sum;
}

std::vector<float> weights_of(std::uint64_t seed, std::int64_t count, double limit) {
  const auto reals = test::random_reals(count, seed, limit);
  std::vector<float> weights;
  for (const double r : reals) weights.push_back(static_cast<float>(r * r * r / (limit * limit)));  // heavy middle
  return weights;
}

TEST(GridScales, PaperEquations) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const float largest : {1.0f, 2.0f, 0.5f, 0.25f, 0.3f, 0.999f, 1.001f, 3.7f, 1e-6f, 1e6f, 0x1p-40f, 0x1p40f}) {
      const auto scales = grid_scales(layer_of({largest / 3, -largest, 0.0f}), paper(bits));
      EXPECT_EQ(static_cast<double>(scales.at(0)), paper_step(static_cast<double>(largest), bits))
          << largest << " " << bits;
    }
    EXPECT_EQ(grid_scales(layer_of({1.0f}), paper(bits)).at(0), std::ldexp(1.0f, 1 - bits));   // int_bits = 0
    EXPECT_EQ(grid_scales(layer_of({0.2f}), paper(bits)).at(0), std::ldexp(1.0f, -1 - bits));  // int_bits = -2
  }
}

TEST(GridScales, FreeMaximumMapsTheLargestWeightToTheLargestCode) {
  for (int bits = 2; bits <= 8; ++bits) {
    const Grid grid{bits, GridScheme::per_layer, GridScale::free, GridRange::max};
    EXPECT_EQ(grid_scales(layer_of({0.1f, -0.7f}), grid).at(0),
              static_cast<float>(static_cast<double>(0.7f) / ((1 << (bits - 1)) - 1)));
  }
}

TEST(GridScales, ZerosAndExtremesGiveUsableSteps) {
  for (const Grid& grid : test::all_grids()) {
    EXPECT_EQ(grid_scales(layer_of({0.0f, -0.0f}), grid), (std::vector<float>{1.0f}));
    for (const float w : {std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::min(), 1e-37f, 1e38f,
                          std::numeric_limits<float>::max()}) {
      const float step = grid_scales(layer_of({w, -w / 2, w / 3}), grid).at(0);
      EXPECT_TRUE(std::isnormal(step) && step > 0.0f) << w << " at " << grid.bits;
    }
  }
}

TEST(GridScales, PerChannelTreatsEachChannelAsItsOwnLayer) {
  const std::vector<float> weights = {0.1f, -0.2f, 0, 0, 5.0f, 1.0f};
  for (Grid grid : test::all_grids()) {
    grid.scheme = GridScheme::per_channel;
    const auto scales = grid_scales(layer_of(weights, 3), grid);
    ASSERT_EQ(scales.size(), 3u);
    EXPECT_EQ(scales[1], 1.0f);
    grid.scheme = GridScheme::per_layer;
    EXPECT_EQ(scales[0], grid_scales(layer_of({0.1f, -0.2f}), grid).at(0));
    EXPECT_EQ(scales[2], grid_scales(layer_of({5.0f, 1.0f}), grid).at(0));
    EXPECT_EQ(grid_scales(layer_of(weights, 3), grid), std::vector<float>(3, grid_scales(layer_of(weights), grid)[0]));
  }
}

TEST(GridScales, LeastSquaresPowerOfTwoIsTheBestExponent) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      auto weights = weights_of(seed, 60, 0.9);
      const float shrink = std::ldexp(1.0f, -static_cast<int>(seed % 10));  // outliers that pull the best step far down
      for (std::size_t i = 1; i < weights.size(); ++i) weights[i] *= shrink;
      for (int i = 0; i < 12 * static_cast<int>(seed); ++i) weights.push_back(weights[1 + static_cast<std::size_t>(i)]);
      const Layer layer = layer_of(weights);
      const double top = static_cast<double>(grid_scales(layer, paper(bits))[0]);
      double best = top;
      for (int i = 1; i <= 6; ++i) {
        const double step = std::ldexp(top, -i);
        if (error_of(weights, bits, step) < error_of(weights, bits, best)) best = step;
      }
      const Grid grid{bits, GridScheme::per_layer, GridScale::pow2, GridRange::mse};
      EXPECT_EQ(static_cast<double>(grid_scales(layer, grid)[0]), best);
    }
  }
}

TEST(GridScales, LeastSquaresFreeIsAsGoodAsAFineSearch) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto weights = weights_of(seed, 60, 0.9);
      const Layer layer = layer_of(weights);
      Grid grid{bits, GridScheme::per_layer, GridScale::free, GridRange::max};
      const double top = static_cast<double>(grid_scales(layer, grid)[0]);
      double best = error_of(weights, bits, top);
      for (int i = 0; i < 4000; ++i) best = std::min(best, error_of(weights, bits, top * (0.2 + 0.8 * i / 4000)));
      grid.range = GridRange::mse;
      const double got = error_of(weights, bits, static_cast<double>(grid_scales(layer, grid)[0]));
      EXPECT_LE(got, error_of(weights, bits, top));
      EXPECT_LE(got, 1.1 * best + 1e-12) << bits << " bits, seed " << seed;
    }
  }
}

TEST(GridScales, WeightsOnAGridAreFoundExactly) {
  std::vector<float> weights;
  for (int code = -8; code < 8; ++code) weights.push_back(0.0625f * static_cast<float>(code));
  const Grid grid{4, GridScheme::per_layer, GridScale::free, GridRange::mse};
  const float step = grid_scales(layer_of(weights), grid)[0];
  EXPECT_NEAR(step, 0.0625f, 1e-6f);
}

TEST(GridScales, RefusesBitsOutOfRange) {
  for (const int bits : {-1, 0, 1, 9, 32}) {
    try {
      grid_scales(layer_of({1.0f}), paper(bits));
      ADD_FAILURE() << bits;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
    }
  }
}

TEST(GridScales, UntunableLayersKeepStepOne) {
  Layer layer = layer_of({1.0f, -1.0f}, 2);
  layer.tunable = false;
  for (const Grid& grid : test::all_grids()) EXPECT_EQ(grid_scales(layer, grid), (std::vector<float>{1, 1}));
}

}  // namespace
}  // namespace qnudge
