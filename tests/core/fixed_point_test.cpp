// SPDX-License-Identifier: MIT
#include "qnudge/core/fixed_point.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace qnudge {
namespace {

constexpr long double kQ16 = 65536.0L, kQ30 = 1073741824.0L;

TEST(LogitToQ16, RoundsHalfToEvenAtEveryMagnitude) {
  std::mt19937_64 random(1);
  const auto expect_rounded = [](float logit) {
    const double scaled = static_cast<double>(logit) * 65536.0;  // exact
    EXPECT_EQ(logit_to_q16(logit), static_cast<std::int32_t>(std::nearbyint(scaled))) << logit;
  };
  for (int power = 0; power < 30; ++power) {
    for (int i = 0; i < 2000; ++i) {
      const float scaled = std::ldexp(1.0f + static_cast<float>(random() >> 40) / 16777216.0f, power);
      for (const float sign : {-1.0f, 1.0f}) expect_rounded(sign * scaled / 65536.0f);
    }
  }
  for (const double edge : {0.0, 4194304.0, 8388608.0, 16777216.0}) {
    for (double offset = -40; offset <= 40; offset += 0.25) {
      expect_rounded(static_cast<float>((edge + offset) / 65536.0));
      expect_rounded(static_cast<float>((-edge + offset) / 65536.0));
    }
  }
}

TEST(LogitToQ16, SaturatesAndPutsNanLast) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  for (const float high : {16384.0f, 1e10f, 3e38f, kInf}) {
    EXPECT_EQ(logit_to_q16(high), kLogitLimitQ16);
    EXPECT_EQ(logit_to_q16(-high), -kLogitLimitQ16);
  }
  EXPECT_EQ(logit_to_q16(std::nextafter(16384.0f, 0.0f)), kLogitLimitQ16 - 64);
  EXPECT_EQ(logit_to_q16(std::nextafter(-16384.0f, 0.0f)), -kLogitLimitQ16 + 64);
  EXPECT_EQ(logit_to_q16(std::nanf("")), -kLogitLimitQ16);
  EXPECT_EQ(logit_to_q16(-std::nanf("")), -kLogitLimitQ16);
  EXPECT_EQ(logit_to_q16(-0.0f), 0);
  EXPECT_EQ(logit_to_q16(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(ExpQ30, HoldsItsAccuracyAndNeverFalls) {
  long double worst = 0;
  std::int64_t before = 0, falls = 0;
  for (std::int64_t d = -(40LL << 16); d <= 0; ++d) {
    const std::int64_t e = exp_q30(d);
    worst =
        std::max(worst, std::fabs(static_cast<long double>(e) / kQ30 - std::exp(static_cast<long double>(d) / kQ16)));
    falls += e < before ? 1 : 0;
    before = e;
  }
  EXPECT_LT(worst, 1e-8L);
  EXPECT_EQ(falls, 0);
  EXPECT_EQ(exp_q30(0), kQ30One);
}

TEST(ExpQ30, IsZeroFarBelow) {
  for (const std::int64_t d : {-(21LL << 16), -(32LL << 16), -(33LL << 16), -(1LL << 31), -(1LL << 32), -(1LL << 62)}) {
    EXPECT_EQ(exp_q30(d), 0) << d;
  }
}

TEST(LogQ16, HoldsItsAccuracyAtEveryMagnitude) {
  std::mt19937_64 random(2);
  long double worst = 0;
  const auto check = [&](std::uint64_t v) {
    if (v == 0) return;
    const long double exact = kQ16 * std::log(static_cast<long double>(v) / kQ30);
    worst = std::max(worst, std::fabs(static_cast<long double>(log_q16(v)) - exact));
  };
  for (int bit = 0; bit < 64; ++bit) {
    for (std::uint64_t near = 0; near < 100; ++near) {
      check((std::uint64_t{1} << bit) + near);
      check((std::uint64_t{1} << bit) - near);
    }
    for (int i = 0; i < 20000; ++i) check(random() >> bit);
  }
  check(std::numeric_limits<std::uint64_t>::max());
  EXPECT_LT(worst, 2.0L);
  EXPECT_EQ(log_q16(static_cast<std::uint64_t>(kQ30One)), 0);
}

TEST(LogQ16, NeverFalls) {
  std::int64_t before = log_q16(1);
  const auto check = [&](std::uint64_t from, std::uint64_t to) {
    before = log_q16(from);
    for (std::uint64_t v = from; v < to; ++v) {
      const std::int64_t now = log_q16(v);
      ASSERT_GE(now, before) << v;
      before = now;
    }
  };
  check(1, 1 << 20);
  check((1 << 30) - (1 << 19), (1 << 30) + (1 << 19));
  check((std::uint64_t{1} << 63) - 100000, (std::uint64_t{1} << 63) + 100000);
}

TEST(LogSumExpQ16, IsWithinTwoUnitsOfTheExactValue) {
  std::mt19937_64 random(3);
  for (const std::int64_t n : {1, 2, 10, 100, 1000}) {
    for (const double spread : {0.01, 1.0, 10.0, 1000.0, 16383.0}) {
      std::uniform_real_distribution<double> logit(-spread, spread);
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<std::int32_t> z;
        for (std::int64_t k = 0; k < n; ++k) z.push_back(static_cast<std::int32_t>(logit(random) * 65536));
        const std::int32_t largest = *std::max_element(z.begin(), z.end());
        long double sum = 0;
        for (const std::int32_t v : z) sum += std::exp((v - static_cast<long double>(largest)) / kQ16);
        const long double exact = largest + kQ16 * std::log(sum);
        ASSERT_NEAR(static_cast<double>(static_cast<long double>(log_sum_exp_q16(z.data(), n)) - exact), 0.0, 2.0);
      }
    }
  }
}

TEST(LogSumExpQ16, SurvivesTheExtremes) {
  const std::vector<std::int32_t> apart = {-kLogitLimitQ16, kLogitLimitQ16}, high(100000, kLogitLimitQ16);
  EXPECT_EQ(log_sum_exp_q16(apart.data(), 2), kLogitLimitQ16);
  EXPECT_NEAR(static_cast<double>(log_sum_exp_q16(high.data(), 100000) - kLogitLimitQ16), 65536 * std::log(1e5), 2.0);
}

}  // namespace
}  // namespace qnudge
