// SPDX-License-Identifier: MIT
#include "qnudge/kernels/mix.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace qnudge {
namespace {

TEST(Mix, ShiftsRoundHalfToEven) {
  for (int bits = 1; bits <= 22; ++bits) {
    for (std::int32_t sum = -5000; sum <= 5000; ++sum) {
      const double wanted = std::nearbyint(std::ldexp(static_cast<double>(sum), -bits));
      ASSERT_EQ(rounded_shift(sum, bits), wanted) << sum << " " << bits;
    }
  }
}

std::vector<ResizeTap> taps(std::mt19937& draw, std::int64_t out, std::int64_t in) {
  std::vector<ResizeTap> t;
  for (std::int64_t i = 0; i < out; ++i) {
    const auto first = static_cast<std::int32_t>(draw() % static_cast<std::uint64_t>(in));
    const auto weight = static_cast<std::int32_t>(draw() % (kResizeOne + 1));
    t.push_back(
        {first, std::min<std::int32_t>(first + 1, static_cast<std::int32_t>(in) - 1), kResizeOne - weight, weight});
  }
  return t;
}

TEST(Mix, ResizeRoundsTheExactSum) {
  std::mt19937 draw(2);
  const Extents in{3, 4, 2, 5}, out{5, 7, 2, 5};
  std::vector<std::int8_t> x(static_cast<std::size_t>(2 * in.size())), y(static_cast<std::size_t>(2 * out.size()));
  for (auto& v : x) v = static_cast<std::int8_t>(draw());
  const auto rows = taps(draw, out.h, in.h), columns = taps(draw, out.w, in.w);
  const ResizeCodes<std::int8_t> op{x.data(), y.data(), out, Strides::dense(in), rows.data(), columns.data()};
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(y.size()); ++i) op(i);
  std::size_t i = 0;
  for (std::int64_t n = 0; n < 2; ++n) {
    for (const ResizeTap& row : rows) {
      for (const ResizeTap& column : columns) {
        for (std::int64_t p = 0; p < 2; ++p) {
          for (std::int64_t c = 0; c < 5; ++c, ++i) {
            const auto value = [&](std::int32_t r, std::int32_t s) {
              return static_cast<double>(x[static_cast<std::size_t>((((n * in.h + r) * in.w + s) * 2 + p) * 5 + c)]);
            };
            const double sum = row.weight_first * (column.weight_first * value(row.first, column.first) +
                                                   column.weight_second * value(row.first, column.second)) +
                               row.weight_second * (column.weight_first * value(row.second, column.first) +
                                                    column.weight_second * value(row.second, column.second));
            ASSERT_EQ(y[i], std::nearbyint(std::ldexp(sum, -22))) << i;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace qnudge
