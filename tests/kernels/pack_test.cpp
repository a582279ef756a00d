// SPDX-License-Identifier: MIT
// Sixteen codes at once against one at a time.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "qnudge/kernels/candidates.hpp"
#include "qnudge/kernels/elementwise.hpp"

namespace qnudge {
namespace {

/// Codes on a 16-byte boundary, `offset` bytes behind one if asked.
class Codes {
 public:
  explicit Codes(std::int64_t count, std::uint64_t seed = 0) : packs_(static_cast<std::size_t>(count / 16 + 2)) {
    std::mt19937_64 random(seed);
    for (CodePack& pack : packs_) {
      for (std::int8_t& v : pack.v) v = static_cast<std::int8_t>(static_cast<int>(random() % 256) - 128);
    }
  }
  std::int8_t* data(std::int64_t offset = 0) { return packs_.front().v + offset; }
  std::vector<std::int8_t> first(std::int64_t count) { return {data(), data() + count}; }

 private:
  std::vector<CodePack> packs_;
};

/// `make(y)` gives the op that writes to y.
template <class Make>
void expect_equal_forms(std::int64_t count, const Make& make) {
  Codes one(count), sixteen(count);
  const auto element = make(one.data());
  for (std::int64_t i = 0; i < count; ++i) element(i);
  const auto packed = make(sixteen.data());
  ASSERT_TRUE(packed.packable(count));
  for (std::int64_t j = 0; j < count / CodePack::kSize; ++j) packed.pack(j);
  EXPECT_EQ(sixteen.first(count), one.first(count));
}

TEST(Pack, AdditionAndClamp) {
  Codes a(480, 1), b(480, 2);
  for (const auto& [m_a, m_b, low] : {std::tuple{1.0f, 0.5f, -128}, {0.25f, 4.0f, 0}, {2.0f, 0.125f, -128}}) {
    expect_equal_forms(480, [&, m_a = m_a, m_b = m_b, low = low](std::int8_t* y) {
      return AddCodes{a.data(), b.data(), y, m_a, m_b, low, 100};
    });
  }
  expect_equal_forms(480, [&](std::int8_t* y) { return ClampCodes{a.data(), y, -3, 77}; });
}

TEST(Pack, AdditionOfASharedTensor) {
  constexpr std::int64_t kPixels = 5, kCandidates = 3, kChannels = 32;
  Codes a(kPixels * kCandidates * kChannels, 3), b(kPixels * kChannels, 4);
  expect_equal_forms(kPixels * kCandidates * kChannels, [&](std::int8_t* y) {
    return AddSharedCodes{a.data(), b.data(), y, 0.5f, 1.0f, kCandidates, kChannels, 0, 127};
  });
}

TEST(Pack, PoolsWithPaddingStrideAndUnevenDivisors) {
  const Shape in{5, 7, 48}, out{3, 4, 48};
  const Window window{
      .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  Codes x(2 * in.size(), 5);
  std::vector<float> multipliers;
  for (int i = 0; i < 12; ++i) multipliers.push_back(1.0f / static_cast<float>(4 + i % 6));
  expect_equal_forms(2 * out.size(), [&](std::int8_t* y) { return MaxPoolCodes{x.data(), y, in, out, window}; });
  for (const float* uneven : {static_cast<const float*>(nullptr), static_cast<const float*>(multipliers.data())}) {
    expect_equal_forms(2 * out.size(),
                       [&](std::int8_t* y) { return AveragePoolCodes{x.data(), y, in, out, window, 0.111f, uneven}; });
  }
}

TEST(Pack, RefusesOddAddressesAndExtents) {
  Codes a(64), y(64);
  EXPECT_FALSE((AddCodes{a.data(), a.data(), y.data(), 1, 1, -128, 127}.packable(40)));
  EXPECT_FALSE((AddCodes{a.data(1), a.data(), y.data(), 1, 1, -128, 127}.packable(32)));
  EXPECT_FALSE((ClampCodes{a.data(), y.data(8), -128, 127}.packable(32)));
  EXPECT_FALSE((AddSharedCodes{a.data(), a.data(), y.data(), 1, 1, 4, 8, -128, 127}.packable(32)));
  EXPECT_FALSE((MaxPoolCodes{a.data(), y.data(), {2, 2, 8}, Shape{1, 1, 8}, {.r = 2, .s = 2}}.packable(16)));
}

}  // namespace
}  // namespace qnudge
