// SPDX-License-Identifier: MIT
#include "qnudge/kernels/combine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace qnudge {
namespace {

std::vector<std::int8_t> codes(std::mt19937& draw, std::int64_t count) {
  std::vector<std::int8_t> v(static_cast<std::size_t>(count));
  for (auto& c : v) c = static_cast<std::int8_t>(static_cast<int>(draw() % 256) - 128);
  return v;
}

/// In long double, so that nothing but the last step rounds.
int naive(CombineKind kind, int a, int b, float m_a, float m_b, int low, int high) {
  const long double u = static_cast<long double>(a) * m_a, v = static_cast<long double>(b) * m_b;
  long double y = 0;
  if (kind == CombineKind::add) y = u + v;
  if (kind == CombineKind::subtract) y = u - v;
  if (kind == CombineKind::multiply) y = static_cast<long double>(a) * b * m_a;
  if (kind == CombineKind::minimum) y = std::min(u, v);
  if (kind == CombineKind::maximum) y = std::max(u, v);
  if (kind == CombineKind::divide) {
    y = b == 0 ? (a == 0  ? 0
                  : a > 0 ? 1000
                          : -1000)
               : static_cast<float>(a) / static_cast<float>(b) * m_a;  // two fp32 roundings, as documented
  }
  return static_cast<int>(std::nearbyint(std::clamp<long double>(y, low, high)));
}

TEST(Combine, EveryPairOfCodesIsRoundedOnce) {
  for (const auto kind : {CombineKind::add, CombineKind::subtract, CombineKind::multiply, CombineKind::divide,
                          CombineKind::minimum, CombineKind::maximum}) {
    for (const auto& [m_a, m_b] : {std::pair{1.0f, 1.0f}, {0.25f, 2.0f}, {0.0078125f, 0.5f}, {16.0f, 0.125f}}) {
      for (const int low : {-128, 0}) {
        const CombineRule<std::int8_t> rule{kind, m_a, m_b, low, 100};
        for (int a = -128; a <= 127; ++a) {
          for (int b = -128; b <= 127; ++b) {
            ASSERT_EQ(rule(static_cast<std::int8_t>(a), static_cast<std::int8_t>(b)),
                      naive(kind, a, b, m_a, m_b, low, 100))
                << static_cast<int>(kind) << " " << a << " " << b << " " << m_a;
          }
        }
      }
    }
  }
}

/// Each axis of b may be broadcast; candidates may be shared by either operand.
TEST(Combine, BroadcastsAlongAnyAxes) {
  std::mt19937 draw(7);
  for (int mask = 0; mask < 64; ++mask) {
    const std::int64_t n = 2, h = 3, w = 2, p = 3, c = 5;
    const auto extent = [&](int bit, std::int64_t e) { return (mask >> bit & 1) != 0 ? 1 : e; };
    const Extents whole{h, w, p, c}, own_a{h, w, extent(4, p), c};
    const Extents own_b{extent(0, h), extent(1, w), extent(2, p), extent(3, c)};
    if ((mask >> 5 & 1) != 0 && own_b.p == 1) continue;
    const auto a = codes(draw, n * own_a.size()), b = codes(draw, n * own_b.size());
    std::vector<std::int8_t> y(static_cast<std::size_t>(n * whole.size()));
    const CombineCodes<std::int8_t> op{a.data(),
                                       b.data(),
                                       y.data(),
                                       whole,
                                       Strides::broadcast(own_a, whole),
                                       Strides::broadcast(own_b, whole),
                                       {CombineKind::multiply, 0.0625f, 1, -128, 127}};
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) op(i);
    std::size_t at = 0;
    for (std::int64_t in = 0; in < n; ++in) {
      for (std::int64_t iy = 0; iy < h; ++iy) {
        for (std::int64_t ix = 0; ix < w; ++ix) {
          for (std::int64_t ip = 0; ip < p; ++ip) {
            for (std::int64_t ic = 0; ic < c; ++ic, ++at) {
              const std::int64_t from_a = (((in * h + iy) * w + ix) * own_a.p + (own_a.p == 1 ? 0 : ip)) * c + ic;
              const std::int64_t from_b =
                  (((in * own_b.h + std::min(iy, own_b.h - 1)) * own_b.w + std::min(ix, own_b.w - 1)) * own_b.p +
                   std::min(ip, own_b.p - 1)) *
                      own_b.c +
                  std::min(ic, own_b.c - 1);
              const int wanted = naive(CombineKind::multiply, a[static_cast<std::size_t>(from_a)],
                                       b[static_cast<std::size_t>(from_b)], 0.0625f, 1, -128, 127);
              ASSERT_EQ(y[at], wanted) << mask << " " << at;
            }
          }
        }
      }
    }
  }
}

TEST(Combine, HalvesRoundOnce) {
  const CombineRule<Half> rule{CombineKind::multiply, 0.5f, 1, -kLargestHalf, kLargestHalf};
  EXPECT_EQ(to_float(rule(to_half(3.0f), to_half(5.0f))), 7.5f);
  EXPECT_EQ(to_float(rule(to_half(60000.0f), to_half(-60000.0f))), -kLargestHalf);
  const CombineRule<Half> quotient{CombineKind::divide, 2.0f, 1, -8, 8};
  EXPECT_EQ(to_float(quotient(to_half(3.0f), to_half(4.0f))), 1.5f);
  EXPECT_EQ(to_float(quotient(to_half(-3.0f), to_half(0.0f))), -8.0f);
}

}  // namespace
}  // namespace qnudge
