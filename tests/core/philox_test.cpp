// SPDX-License-Identifier: MIT
#include "qnudge/core/philox.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

using Words = std::array<std::uint32_t, 4>;

Words words(const U32x4& block) {
  return {block.v[0], block.v[1], block.v[2], block.v[3]};
}

/// Philox4x32 with ten rounds, from its definition.
U32x4 naive_philox(U32x4 c, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * c.v[0], b = std::uint64_t{0xCD9E8D57} * c.v[2];
    c = {{static_cast<std::uint32_t>(b >> 32) ^ c.v[1] ^ k0, static_cast<std::uint32_t>(b),
          static_cast<std::uint32_t>(a >> 32) ^ c.v[3] ^ k1, static_cast<std::uint32_t>(a)}};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

TEST(Philox, GivesTheKnownAnswers) {
  constexpr std::uint32_t kAll = 0xFFFFFFFF;
  const Random123Philox philox;
  EXPECT_EQ(words(philox({{0, 0, 0, 0}}, 0, 0)), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(words(philox({{kAll, kAll, kAll, kAll}}, kAll, kAll)),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(words(philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0)),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EqualsTheDefinition) {
  U32x4 state{{1, 2, 3, 4}};
  for (int i = 0; i < 1000; ++i) {
    const U32x4 next = naive_philox(state, state.v[3], state.v[1]);
    EXPECT_EQ(words(Random123Philox{}(state, state.v[3], state.v[1])), words(next));
    state = next;
  }
}

TEST(DrawBlock, PutsEveryCoordinateWhereItIsDocumented) {
  const auto echo = [](const U32x4& counter, std::uint32_t lo, std::uint32_t hi) {
    EXPECT_EQ(lo, 0x89ABCDEFu);
    EXPECT_EQ(hi, 0x01234567u);
    return counter;
  };
  const DrawAddress at{.candidate = 11, .generation = 22, .layer = 33, .purpose = Purpose::sample_split};
  EXPECT_EQ(words(draw_block(echo, 0x0123456789ABCDEF, at, 44)), (Words{44, 11, 22, 33 * 256 + 1}));
  EXPECT_EQ(words(draw_block(echo, 0x0123456789ABCDEF, {}, 0)), (Words{0, 0, 0, 0}));
}

TEST(UniformThresholds, AreExactToOneWord) {
  for (const double p : {0.0, 1e-9, 0.001, 0.02, 0.1, 0.5, 0.999, 1.0}) {
    const UniformThresholds t = uniform_thresholds(p);
    const auto near = [&](std::uint32_t threshold, double fraction) {
      EXPECT_NEAR(threshold, p * fraction * 4294967296.0, 1.001) << p << " " << fraction;
    };
    near(t.minus2, 0.1);
    near(t.minus1, 0.5);
    near(t.plus1, 0.9);
    near(t.plus2, 1.0);
  }
  EXPECT_EQ(uniform_thresholds(0).plus2, 0u);
  EXPECT_EQ(uniform_thresholds(1).plus2, 0xFFFFFFFFu);
}

/// Rates over many addressed draws, within five standard deviations of the binomial.
TEST(UniformThresholds, GiveTheDocumentedRates) {
  constexpr std::uint32_t kBlocks = 500000;
  for (const double p : {0.02, 0.5, 1.0}) {
    const UniformThresholds t = uniform_thresholds(p);
    std::map<int, double> count;
    for (std::uint32_t block = 0; block < kBlocks; ++block) {
      const U32x4 draw = draw_block(Random123Philox{}, 7, {.candidate = 3, .generation = 5, .layer = 2}, block);
      for (const std::uint32_t u : draw.v) {
        ++count[u < t.minus2 ? -2 : u < t.minus1 ? -1 : u < t.plus1 ? 1 : u < t.plus2 ? 2 : 0];
      }
    }
    const double n = 4.0 * kBlocks;
    for (const auto& [step, share] : {std::pair{-2, 0.1}, {-1, 0.4}, {1, 0.4}, {2, 0.1}}) {
      const double rate = p * share;
      EXPECT_NEAR(count[step] / n, rate, 5 * std::sqrt(rate * (1 - rate) / n)) << p << " " << step;
    }
  }
}

/// Neighbouring candidates, generations, layers and purposes draw independently: their masks rarely coincide.
TEST(DrawBlock, NeighboursDiffer) {
  const DrawAddress base{.candidate = 1, .generation = 1, .layer = 1};
  const std::array<DrawAddress, 4> others = {
      DrawAddress{2, 1, 1, Purpose::mutate}, DrawAddress{1, 2, 1, Purpose::mutate},
      DrawAddress{1, 1, 2, Purpose::mutate}, DrawAddress{1, 1, 1, Purpose::sample_split}};
  for (const DrawAddress& other : others) {
    double bits = 0;
    for (std::uint32_t block = 0; block < 1000; ++block) {
      const Words a = words(draw_block(Random123Philox{}, 1, base, block));
      const Words b = words(draw_block(Random123Philox{}, 1, other, block));
      for (std::size_t i = 0; i < 4; ++i) bits += __builtin_popcount(a[i] ^ b[i]);
    }
    EXPECT_NEAR(bits / 128000, 0.5, 0.007);
  }
}

}  // namespace
}  // namespace qnudge
