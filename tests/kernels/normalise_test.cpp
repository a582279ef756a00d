// SPDX-License-Identifier: MIT
#include "qnudge/kernels/normalise.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "qnudge/kernels/product.hpp"

namespace qnudge {
namespace {

using Codes = std::vector<std::int8_t>;

Codes codes(std::mt19937& draw, std::int64_t count) {
  Codes v(static_cast<std::size_t>(count));
  for (auto& c : v) c = static_cast<std::int8_t>(static_cast<int>(draw() % 256) - 128);
  return v;
}

std::size_t at(const Extents& e, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t p, std::int64_t c) {
  return static_cast<std::size_t>((((n * e.h + y) * e.w + x) * e.p + p) * e.c + c);
}

struct Case {
  std::int64_t n, h, w, p, c, block_h, block_w, block_c;
};
constexpr Case kCases[] = {{2, 3, 2, 1, 8, 1, 1, 8}, {1, 4, 4, 3, 6, 4, 4, 1}, {2, 2, 3, 2, 12, 2, 3, 4},
                           {1, 1, 5, 1, 7, 1, 5, 7}, {1, 2, 2, 2, 5, 1, 2, 5}, {3, 1, 1, 1, 1, 1, 1, 1}};

/// Calls f(elements) for every group, by another order of loops than the functor's.
template <class F>
void for_each_group(const Case& k, const F& f) {
  const Extents e{k.h, k.w, k.p, k.c};
  for (std::int64_t n = 0; n < k.n; ++n) {
    for (std::int64_t p = 0; p < k.p; ++p) {
      for (std::int64_t y = 0; y < k.h; y += k.block_h) {
        for (std::int64_t x = 0; x < k.w; x += k.block_w) {
          for (std::int64_t c = 0; c < k.c; c += k.block_c) {
            std::vector<std::size_t> elements;
            for (std::int64_t ic = k.block_c; ic-- > 0;) {
              for (std::int64_t ix = 0; ix < k.block_w; ++ix) {
                for (std::int64_t iy = 0; iy < k.block_h; ++iy) {
                  elements.push_back(at(e, n, y + iy, x + ix, p, c + ic));
                }
              }
            }
            f(elements);
          }
        }
      }
    }
  }
}

TEST(Normalise, MomentsEqualTheDefinition) {
  std::mt19937 draw(3);
  for (const Case& k : kCases) {
    for (const bool centred : {true, false}) {
      const Extents e{k.h, k.w, k.p, k.c};
      const Codes x = codes(draw, k.n * e.size());
      std::vector<double> gain, shift;
      for (std::int64_t c = 0; c < k.c; ++c) {
        gain.push_back(20.0 + static_cast<double>(draw() % 64));
        shift.push_back(static_cast<double>(draw() % 9) - 4.0);
      }
      const std::int64_t size = k.block_h * k.block_w * k.block_c;
      const double epsilon = 1e-3 * static_cast<double>(size * size);
      Codes y(x.size());
      const NormaliseMoments<std::int8_t> op{x.data(),
                                             y.data(),
                                             {e, k.block_h, k.block_w, k.block_c},
                                             Strides::dense(e),
                                             Strides::dense(e),
                                             centred,
                                             epsilon,
                                             gain.data(),
                                             shift.data(),
                                             -100,
                                             127};
      for (std::int64_t g = 0; g < k.n * op.groups.per_image(); ++g) op(g);
      for_each_group(k, [&](const std::vector<std::size_t>& group) {
        long double mean = 0, square = 0;
        for (const std::size_t i : group) mean += x[i];
        mean = centred ? mean / static_cast<long double>(size) : 0;
        for (const std::size_t i : group) square += (x[i] - mean) * (x[i] - mean);
        const long double deviation = std::sqrt(square / static_cast<long double>(size) + 1e-3L);
        for (const std::size_t i : group) {
          const std::size_t c = i % static_cast<std::size_t>(k.c);
          const long double wanted = (x[i] - mean) / deviation * gain[c] + shift[c];
          const long double clamped = std::clamp<long double>(wanted, -100, 127);
          ASSERT_LE(std::abs(y[i] - clamped), 0.5L + 1e-9L) << i;
        }
      });
      Codes in_place = x;
      NormaliseMoments<std::int8_t> same = op;
      same.x = same.code = in_place.data();
      for (std::int64_t g = 0; g < k.n * op.groups.per_image(); ++g) same(g);
      ASSERT_EQ(in_place, y);
    }
  }
}

TEST(Normalise, GroupsWithoutSpreadAreTheirShift) {
  const Codes x(6, 9);
  Codes y(6);
  const double gain[] = {1, 1, 1}, shift[] = {1, -2, 3};
  const Extents e{1, 2, 1, 3};
  const NormaliseMoments<std::int8_t> op{
      x.data(), y.data(), {e, 1, 1, 3}, Strides::dense(e), Strides::dense(e), true, 0.0, gain, shift, -128, 127};
  op(0);
  op(1);
  EXPECT_EQ(y, (Codes{1, -2, 3, 1, -2, 3}));
}

std::vector<std::int32_t> exp_table(double scale) {
  std::vector<std::int32_t> table;
  for (int d = 0; d < 256; ++d) {
    table.push_back(static_cast<std::int32_t>(std::nearbyint(std::ldexp(std::exp(-d * scale), 30))));
  }
  return table;
}

TEST(Normalise, SoftmaxIsOneRoundedQuotient) {
  std::mt19937 draw(5);
  for (const Case& k : kCases) {
    for (const double scale : {0.0078125, 0.0625, 0.5}) {
      for (const int bits : {5, 7, 9}) {
        const Extents e{k.h, k.w, k.p, k.c};
        const Codes x = codes(draw, k.n * e.size());
        const auto table = exp_table(scale);
        Codes y(x.size());
        const SoftmaxCodes op{
            x.data(),     y.data(), {e, k.block_h, k.block_w, k.block_c}, Strides::dense(e), Strides::dense(e),
            table.data(), bits};
        for (std::int64_t g = 0; g < k.n * op.groups.per_image(); ++g) op(g);
        for_each_group(k, [&](const std::vector<std::size_t>& group) {
          int largest = -128;
          for (const std::size_t i : group) largest = std::max<int>(largest, x[i]);
          __int128 sum = 0;
          for (const std::size_t i : group) sum += table[static_cast<std::size_t>(largest - x[i])];
          for (const std::size_t i : group) {
            const __int128 twice = (static_cast<__int128>(table[static_cast<std::size_t>(largest - x[i])]) << bits) * 2;
            const __int128 code = y[i];
            if (code == 127) {
              ASSERT_GE(twice, (2 * code - 1) * sum);
              continue;
            }
            ASSERT_LE(twice, (2 * code + 1) * sum) << i;  // at most half a step below ...
            ASSERT_GE(twice, (2 * code - 1) * sum) << i;  // ... and above
            if (twice == (2 * code + 1) * sum || twice == (2 * code - 1) * sum) {
              ASSERT_EQ(y[i] % 2, 0);
            }
          }
        });
      }
    }
  }
}

TEST(Product, EqualsSumsOfProducts) {
  std::mt19937 draw(11);
  for (int round = 0; round < 40; ++round) {
    const auto pick = [&](std::int64_t most) {
      return 1 + static_cast<std::int64_t>(draw() % static_cast<std::uint64_t>(most));
    };
    const std::int64_t n = pick(2), h = pick(3), rows = pick(4), columns = pick(5), depth = pick(9), p = pick(3);
    const bool rows_of_b = round % 2 != 0, share_a = round % 3 == 0, share_b = !share_a && round % 5 == 0;
    const Extents a{h, rows, share_a ? 1 : p, depth};
    const Extents b =
        rows_of_b ? Extents{h, columns, share_b ? 1 : p, depth} : Extents{h, depth, share_b ? 1 : p, columns};
    const Codes u = codes(draw, n * a.size()), v = codes(draw, n * b.size());
    const Extents out{h, rows, p, columns};
    Codes y(static_cast<std::size_t>(n * out.size()));
    Strides at_a = Strides::dense(a), at_b = Strides::dense(b);
    if (share_a) at_a.p = 0;
    if (share_b) at_b.p = 0;
    if (rows_of_b) std::swap(at_b.x, at_b.c);
    const ProductCodes<std::int8_t> op{u.data(), v.data(), y.data(), out, depth, at_a, at_b, 0.0078125f, -120, 127};
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) op(i);
    for (std::int64_t in = 0; in < n; ++in) {
      for (std::int64_t head = 0; head < h; ++head) {
        for (std::int64_t ip = 0; ip < p; ++ip) {
          for (std::int64_t i = 0; i < rows; ++i) {
            for (std::int64_t j = 0; j < columns; ++j) {
              std::int64_t sum = 0;
              for (std::int64_t d = 0; d < depth; ++d) {
                const int right =
                    rows_of_b ? v[at(b, in, head, j, share_b ? 0 : ip, d)] : v[at(b, in, head, d, share_b ? 0 : ip, j)];
                sum += u[at(a, in, head, i, share_a ? 0 : ip, d)] * right;
              }
              const double wanted = std::nearbyint(std::clamp(static_cast<double>(sum) / 128.0, -120.0, 127.0));
              ASSERT_EQ(y[at(out, in, head, i, ip, j)], wanted) << round;
            }
          }
        }
      }
    }
  }
}

TEST(Normalise, HalvesAreNearTheDefinition) {
  const Extents e{1, 1, 1, 4};
  const std::vector<Half> x{to_half(1.0f), to_half(2.0f), to_half(3.0f), to_half(4.0f)};
  std::vector<Half> y(4);
  const double gain[] = {1, 1, 1, 1}, shift[] = {0, 0, 0, 0};
  const NormaliseMoments<Half> op{x.data(), y.data(), {e, 1, 1, 4}, Strides::dense(e), Strides::dense(e), true,
                                  0.0,      gain,     shift,        -kLargestHalf,     kLargestHalf};
  op(0);
  EXPECT_NEAR(to_float(y[0]), -1.3416f, 1e-3f);
  EXPECT_NEAR(to_float(y[3]), 1.3416f, 1e-3f);
  const SoftmaxHalves soft{x.data(), y.data(), {e, 1, 1, 4}, Strides::dense(e), Strides::dense(e), 1.0f, 1.0f};
  soft(0);
  EXPECT_NEAR(to_float(y[3]), 0.64391f, 1e-3f);
}

}  // namespace
}  // namespace qnudge
