// SPDX-License-Identifier: MIT
// The convolution kernels where the right answer can be worked out by hand, and where they must refuse.
#include "qnudge/cpu/conv_kernel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <thread>

#include "../../host/cpu/conv_trial.hpp"
#include "../../host/cpu/own_tile.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "support/naive_conv.hpp"

namespace qnudge {
namespace {

using Factory = std::unique_ptr<ConvKernel> (*)(const ConvProblem&, ConvMode, std::span<const float>);

struct Kind {
  const char* name;
  Factory make;
};

class EveryKernel : public testing::TestWithParam<Kind> {
 protected:
  /// Output of a 1x1 convolution of one channel with weight 1: one element per input code.
  template <class T>
  std::vector<T> pointwise(std::vector<std::int8_t> x, std::int32_t bias, float m, ConvProblem p = {},
                           ConvMode mode = ConvMode::codes) {
    ConvTrial trial;
    p.in = p.out = {1, static_cast<std::int64_t>(x.size()), 1};
    p.filter = {1, 1, 1, 1};
    trial.problem = p;
    trial.x = std::move(x);
    trial.codes = {1};
    trial.bias = {bias};
    trial.multipliers = {m};
    return run<T>(trial, mode);
  }

  template <class T>
  std::vector<T> run(const ConvTrial& trial, ConvMode mode) {
    const auto kernel = GetParam().make(trial.problem, mode, trial.multipliers);
    if (!kernel) return {};
    const std::vector<std::byte> bytes = run_trial(*kernel, trial, mode);
    const T* values = reinterpret_cast<const T*>(bytes.data());
    return {values, values + bytes.size() / sizeof(T)};
  }
};

TEST_P(EveryKernel, RoundsHalfToEven) {
  if (GetParam().make({.filter = {1, 1, 1, 1}}, ConvMode::codes, std::vector<float>{1}) == nullptr) {
    GTEST_SKIP() << GetParam().name << " refuses signed inputs on this processor";
  }
  EXPECT_THAT(pointwise<std::int8_t>({-5, -3, -1, 0, 1, 3, 5, 127, -127, -128}, 0, 0.5f),
              testing::ElementsAre(-2, -2, 0, 0, 0, 2, 2, 64, -64, -64));
  EXPECT_THAT(pointwise<std::int8_t>({-6, -2, 2, 6, 10}, 0, 0.25f), testing::ElementsAre(-2, 0, 0, 2, 2));
}

TEST_P(EveryKernel, SaturatesAtBothEnds) {
  const ConvProblem unsigned_input{.input_signed = false};
  EXPECT_THAT(pointwise<std::int8_t>({0, 1, 2, 63, 64, 127}, 0, 2.0f, unsigned_input),
              testing::ElementsAre(0, 2, 4, 126, 127, 127));
  EXPECT_THAT(pointwise<std::int8_t>({0, 1, 63, 127}, -127, 1e30f, unsigned_input),
              testing::ElementsAre(-128, -128, -128, 0));
  EXPECT_THAT(pointwise<std::int8_t>({0, 64, 127}, -64, 1.0f, {.input_signed = false, .low = 0}),
              testing::ElementsAre(0, 0, 63));
  EXPECT_THAT(pointwise<std::int8_t>({0, 60, 64, 70, 127}, -64, 1.0f, {.input_signed = false, .low = -3, .high = 5}),
              testing::ElementsAre(-3, -3, 0, 5, 5));
}

TEST_P(EveryKernel, FloatOutputIsNeitherRoundedNorClamped) {
  const ConvProblem values{.input_signed = false, .float_output = true};
  EXPECT_THAT(pointwise<float>({0, 1, 127}, -2, 3000.5f, values), testing::ElementsAre(-6001.0f, -3000.5f, 375062.5f));
  ConvProblem positive = values;
  positive.low = 0;
  EXPECT_THAT(pointwise<float>({0, 1, 127}, -2, 3000.5f, positive), testing::ElementsAre(0.0f, 0.0f, 375062.5f));
}

TEST_P(EveryKernel, BiasMeetsTheSumInFloat) {
  // 2^24 + 1 is no float: float(bias) rounds to 2^24 before the sum, and 2^24 + 1 again after it.
  const ConvProblem values{.input_signed = false, .float_output = true};
  EXPECT_THAT(pointwise<float>({1, 2, 3}, (1 << 24) + 1, 1.0f, values),
              testing::ElementsAre(16777216.0f, 16777218.0f, 16777220.0f));
}

TEST_P(EveryKernel, AccumulatorsIgnoreBiasAndMultiplier) {
  EXPECT_THAT(
      pointwise<std::int32_t>({0, 5, 127}, 1000, 0.001f, {.input_signed = false, .low = 0}, ConvMode::accumulator),
      testing::ElementsAre(0, 5, 127));
}

TEST_P(EveryKernel, PaddingReadsZeros) {
  ConvTrial trial;  // a row 1 2 3 under the filter 1 10 100
  trial.problem.in = {1, 3, 1};
  trial.problem.out = {1, 3, 1};
  trial.problem.filter = {1, 1, 3, 1};
  trial.problem.conv.window = {.r = 1, .s = 3, .pad_left = 1, .pad_right = 1};
  trial.problem.input_signed = false;
  trial.x = {1, 2, 3};
  trial.codes = {1, 10, 100};
  trial.multipliers = {1};
  EXPECT_THAT(run<std::int32_t>(trial, ConvMode::accumulator), testing::ElementsAre(210, 321, 32));
}

TEST_P(EveryKernel, TransposedConvolutionSpreadsItsInput) {
  ConvTrial trial;  // 1 0 2 0 3, cropped to 0 2 0 3, under 1 10
  trial.problem.in = {1, 3, 1};
  trial.problem.out = {1, 3, 1};
  trial.problem.filter = {1, 1, 2, 1};
  trial.problem.conv.window = {.r = 1, .s = 2, .pad_left = -1};
  trial.problem.conv.spread_w = 2;
  trial.problem.input_signed = false;
  trial.x = {1, 2, 3};
  trial.codes = {1, 10};
  trial.multipliers = {1};
  EXPECT_THAT(run<std::int32_t>(trial, ConvMode::accumulator), testing::ElementsAre(20, 2, 30));
}

TEST_P(EveryKernel, ThreadsDoNotDisturbEachOther) {
  for (ConvTrial& trial : trial_shapes()) {
    fill_trial(trial, false, -128, 127, 99);
    const ConvMode mode = set_output(trial.problem, TrialOutput::codes);
    const auto kernel = GetParam().make(trial.problem, mode, trial.multipliers);
    if (!kernel) continue;
    const std::vector<std::byte> expected = run_trial(*kernel, trial, mode);
    std::vector<int> wrong(4, 0);
    std::vector<std::thread> threads;
    for (int& count : wrong) {
      threads.emplace_back([&] {
        for (int i = 0; i < 8; ++i) count += run_trial(*kernel, trial, mode) != expected;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(wrong, testing::Each(0)) << trial.name << ", " << kernel->description();
  }
}

TEST_P(EveryKernel, RefusesContradictions) {
  const std::vector<float> one{1.0f};
  const ConvProblem good{.filter = {1, 1, 1, 1}};
  const auto make = [&](const ConvProblem& p, std::span<const float> m) { GetParam().make(p, ConvMode::codes, m); };
  EXPECT_NO_THROW(make(good, one));
  EXPECT_THROW(make(good, {}), Error);
  ConvProblem bad = good;
  bad.filter.c = 2;
  EXPECT_THROW(make(bad, one), Error);
  bad = good;
  bad.conv.groups = 2;
  EXPECT_THROW(make(bad, one), Error);
  bad = good;
  bad.n = 0;
  EXPECT_THROW(make(bad, one), Error);
  bad = good;
  bad.in.c = bad.filter.c = 131'072;
  EXPECT_THROW(make(bad, one), Error);
}

INSTANTIATE_TEST_SUITE_P(, EveryKernel,
                         testing::Values(Kind{"plain", make_plain_kernel}, Kind{"own", make_own_kernel},
                                         Kind{"onednn", make_onednn_kernel}, Kind{"best", make_best_kernel}),
                         [](const auto& kind) { return kind.param.name; });

TEST(OneDnn, IsNotGivenWindowsOfNothingButPadding) {
  const auto taken = [](std::int64_t top, std::int64_t bottom, std::int64_t left, std::int64_t right) {
    ConvProblem p{.in = {8, 8, 4}, .filter = {4, 3, 3, 4}, .input_signed = false};
    p.conv.window = {.r = 3, .s = 3, .pad_top = top, .pad_left = left, .pad_bottom = bottom, .pad_right = right};
    p.out = {8 + top + bottom - 2, 8 + left + right - 2, 4};
    return make_onednn_kernel(p, ConvMode::accumulator, {}) != nullptr;
  };
  EXPECT_TRUE(taken(2, 2, 2, 2));
  EXPECT_FALSE(taken(3, 2, 2, 2));
  EXPECT_FALSE(taken(2, 3, 2, 2));
  EXPECT_FALSE(taken(2, 2, 3, 2));
  EXPECT_FALSE(taken(2, 2, 2, 3));
}

TEST(SelfTest, FindsEveryKernelExactHere) {
  EXPECT_THAT(conv_self_test(), testing::IsEmpty());
}

TEST(SelfTest, ShapesCoverWhatKernelsTreatApart) {
  bool depthwise = false, grouped = false, spread = false, cropped = false, dilated = false, many_taps = false;
  for (const ConvTrial& trial : trial_shapes()) {
    const ConvProblem& p = trial.problem;
    depthwise |= p.conv.groups > 1 && p.filter.c == 1;
    grouped |= p.conv.groups > 1 && p.filter.c > 1;
    spread |= p.conv.spread_h > 1;
    cropped |= p.conv.window.pad_top < 0;
    dilated |= p.conv.window.dilation_h > 1;
    many_taps |= p.filter.taps() * 127 * 127 > 1 << 24;
  }
  EXPECT_TRUE(depthwise && grouped && spread && cropped && dilated && many_taps);
}

TEST(SelfTest, DataReachSumsBeyondExactFloats) {
  std::int64_t largest = 0, ties = 0;
  for (ConvTrial& trial : trial_shapes()) {
    fill_trial(trial, true, -128, 127, 5);
    const auto sums = oracle::accumulators(trial.problem, trial.x, trial.codes);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t k = i % trial.bias.size();
      largest = std::max(largest, std::abs(sums[i]));
      const float v = (static_cast<float>(sums[i]) + static_cast<float>(trial.bias[k])) * trial.multipliers[k];
      ties += std::abs(v) < 127.0f && v - std::floor(v) == 0.5f;
    }
  }
  EXPECT_GT(largest, 1 << 24);
  EXPECT_GT(ties, 1000);
}

TEST(OneDnnKernel, RefusesExactlyWhereArithmeticWouldBeWrong) {
  const std::string isa = onednn_isa();
  const bool old = isa == "sse41" || isa == "avx" || isa == "avx2" || isa == "avx512_core";
  ConvTrial trial = trial_shapes().front();
  fill_trial(trial, true, -128, 127, 1);
  EXPECT_EQ(make_onednn_kernel(trial.problem, ConvMode::codes, trial.multipliers) == nullptr, old) << isa;
  fill_trial(trial, false, -128, 127, 1);
  EXPECT_NE(make_onednn_kernel(trial.problem, ConvMode::codes, trial.multipliers), nullptr) << isa;
}

TEST(Requantise, RoundingEqualsTheLibrary) {
  for (std::int32_t i = -40000; i <= 40000; ++i) {
    const float v = static_cast<float>(i) / 256.0f;
    EXPECT_EQ(round_half_even(v), std::nearbyint(v)) << v;
  }
  for (const float v : {4194303.5f, -4194303.5f, 4194304.0f, -4194304.0f, 0.49999997f, -0.49999997f}) {
    EXPECT_EQ(round_half_even(v), std::nearbyint(v)) << v;
  }
}

TEST(Requantise, ExtremesSaturate) {
  const float infinity = std::numeric_limits<float>::infinity(), largest = std::numeric_limits<float>::max();
  for (const float v : {infinity, largest, 127.5f, 126.5001f}) EXPECT_EQ(to_code(v, -128, 127), 127) << v;
  for (const float v : {-infinity, -largest, -128.5f, -127.5f}) EXPECT_EQ(to_code(v, -128, 127), -128) << v;
  EXPECT_EQ(to_code(126.5f, -128, 127), 126);
  EXPECT_EQ(to_code(-0.5f, 0, 127), 0);
}

}  // namespace
}  // namespace qnudge
