// SPDX-License-Identifier: MIT
#include "qnudge/kernels/reconstruction.hpp"

#include <gtest/gtest.h>

#include <cfenv>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "qnudge/kernels/score.hpp"

namespace qnudge {
namespace {

TEST(ErrorGrid, RoundsHalfToEvenAndSaturates) {
  EXPECT_EQ(error_steps_per_unit(-7), 2048.0f) << "16 steps to a code of 2^-7";
  EXPECT_EQ(error_steps_per_unit(3), 2.0f);
  for (const auto& [value, steps] : {std::pair{0.0f, 0},
                                     {0.25f, 0},
                                     {0.75f, 2},
                                     {1.25f, 2},
                                     {-0.75f, -2},
                                     {-0.25f, 0},
                                     {1.0f, 2},
                                     {16383.5f, 32767},
                                     {16384.0f, 32767},
                                     {1e30f, 32767},
                                     {-1e30f, -32767}}) {
    EXPECT_EQ(on_error_grid(value, 2.0f), steps) << value;
  }
  EXPECT_EQ(on_error_grid(std::numeric_limits<float>::infinity(), 1), 32767);
  EXPECT_EQ(on_error_grid(-std::numeric_limits<float>::infinity(), 1), -32767);
  EXPECT_EQ(std::abs(on_error_grid(std::nanf(""), 1)), 32767) << "as far as can be";
}

TEST(ErrorGrid, IsTheNearestPointEverywhere) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const float value = std::ldexp(static_cast<float>(random()) - 2147483648.0f, -18);
    const double exact = std::nearbyint(std::min(std::max(16.0 * static_cast<double>(value), -32767.0), 32767.0));
    ASSERT_EQ(on_error_grid(value, 16), static_cast<std::int32_t>(exact)) << value;
  }
}

TEST(ReconstructionError, IsTheSumOfSquaresUpToItsCap) {
  const std::vector<float> outputs = {1.0f, -2.0f, 0.5f};
  const std::vector<std::int16_t> original = {16, -32, 0};
  EXPECT_EQ(reconstruction_error(outputs.data(), 3, original.data(), 16), 64);
  EXPECT_EQ(reconstruction_error(outputs.data(), 0, original.data(), 16), 0);
  const std::vector<float> far(10000, 1e9f);
  const std::vector<std::int16_t> low(10000, -32767);
  EXPECT_EQ(reconstruction_error(far.data(), 100, low.data(), 1), 100 * std::int64_t{65534} * 65534);
  EXPECT_EQ(reconstruction_error(far.data(), 10000, low.data(), 1), kErrorCap);
  EXPECT_LT(kErrorCap, std::numeric_limits<std::int64_t>::max() / kMaxImages) << "the sum over a set fits";
  EXPECT_EQ(mean_squared_error(64, 1, -7), 64.0 / 2048 / 2048);
}

TEST(ReconstructionError, IsAFitnessThatRisesAsItFalls) {
  const ScoreRule rule{FitnessKind::reconstruction, 2, 16};
  const std::vector<std::int16_t> original = {16, 32};
  const auto score = [&](std::vector<float> outputs) { return rule(outputs.data(), 1, nullptr, 0, original.data()); };
  EXPECT_EQ(score({1, 2}), 0);
  EXPECT_EQ(score({1, 2.0625f}), -1);
  EXPECT_LT(score({1, 3}), score({1, 2.5f}));
}

}  // namespace
}  // namespace qnudge
