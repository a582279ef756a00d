// SPDX-License-Identifier: MIT
#include "qnudge/kernels/divisor.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <vector>

namespace qnudge {
namespace {

void expect_exact(std::int64_t i, const Divisor& d) {
  const std::int64_t value = d;
  ASSERT_EQ(i / d, i / value) << i << " / " << value;
  ASSERT_EQ(i % d, i % value) << i << " % " << value;
  if (i < 0 || i > std::numeric_limits<std::int32_t>::max()) return;
  const auto narrow = static_cast<std::int32_t>(i);
  ASSERT_EQ(narrow / d, i / value) << i << " / " << value;
  if (value > std::numeric_limits<std::int32_t>::max()) return;
  ASSERT_EQ(narrow % d, i % value) << i << " % " << value;
}

/// Indices around every multiple that could go wrong: the first, the last below 2^31, and the last below 2^63.
TEST(Divisor, EqualsDivisionAroundMultiplesAndAtTheEnds) {
  std::mt19937_64 random(1);
  std::vector<std::int64_t> divisors{1, 2, 3, 5, 7, 10, 641, 65535, 65536, 65537, (1 << 30) + 1};
  for (int bits = 1; bits < 62; ++bits) {
    for (const std::int64_t off : {-1, 0, 1}) divisors.push_back((std::int64_t{1} << bits) + off);
    divisors.push_back(1 + static_cast<std::int64_t>(random() >> (64 - bits)));
  }
  constexpr std::int64_t kLast32 = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t value : divisors) {
    if (value < 1) continue;
    const Divisor d = value;
    ASSERT_EQ(std::int64_t{d}, value);
    std::vector<std::int64_t> multiples{0, value, kLast32 / value * value, kLast / value * value};
    for (int i = 0; i < 200; ++i) {
      multiples.push_back(static_cast<std::int64_t>(random() % (1u << 31)) / value * value);
      multiples.push_back(static_cast<std::int64_t>(random() >> 1) / value * value);
    }
    for (const std::int64_t multiple : multiples) {
      for (const std::int64_t off : {-1, 0, 1}) {
        if (multiple > kLast - 1) continue;
        expect_exact(multiple + off, d);
      }
    }
    for (const std::int64_t i : {kLast32 - 1, kLast32, kLast32 + 1, kLast - 1, kLast, std::int64_t{-7}}) {
      expect_exact(i, d);
    }
  }
}

TEST(Divisor, StandsForItsNumberInArithmetic) {
  const Divisor d = 12;
  EXPECT_EQ(d * std::int64_t{5}, 60);
  EXPECT_EQ(d % 5, 2);
  EXPECT_EQ(d / Divisor(5), 2);
  EXPECT_EQ(d + 1, 13);
  EXPECT_TRUE(std::int64_t{11} < d);
}

}  // namespace
}  // namespace qnudge
