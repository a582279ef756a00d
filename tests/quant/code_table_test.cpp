// SPDX-License-Identifier: MIT
#include "qnudge/quant/code_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace qnudge {
namespace {

using F = ScalarFunction;
using Op = F::Op;

F number(double v) {
  return F::constant(v);
}
F silu() {
  return F::of(Op::multiply, F(), F::of(Op::sigmoid, F()));
}
F gelu() {
  const F half = F::of(Op::multiply, F(), number(0.5));
  return F::of(
      Op::multiply, half,
      F::of(Op::add, number(1), F::of(Op::error_function, F::of(Op::divide, F(), number(1.4142135623730951)))));
}
F hard_swish() {
  const F gate = F::of(Op::minimum, F::of(Op::maximum, F::of(Op::add, F(), number(3)), number(0)), number(6));
  return F::of(Op::divide, F::of(Op::multiply, F(), gate), number(6));
}

/// By long double, half to even; the caller's functions do not come near a tie that long double could mistake.
int nearest(long double v, int low, int high) {
  const long double r = std::nearbyint(v);
  return static_cast<int>(std::min<long double>(std::max<long double>(r, low), high));
}

/// 45.5 * sigmoid(45.5) is below the tie by 1e-20 of itself, which long double does not see.
bool looks_like_a_tie(long double v) {
  return v - std::floor(v) == 0.5L;
}

TEST(CodeTable, IsNearestToTheFunction) {
  for (int in = -10; in <= 1; ++in) {
    for (int out = in - 3; out <= in + 2; ++out) {
      const auto table = code_table(silu(), in, out);
      ASSERT_EQ(table.size(), 256u);
      for (int code = -128; code <= 127; ++code) {
        const long double x = std::ldexp(static_cast<long double>(code), in);
        const long double y = std::ldexp(x / (1 + std::exp(-x)), -out);
        if (looks_like_a_tie(y)) continue;
        ASSERT_EQ(table[static_cast<std::size_t>(code + 128)], nearest(y, -128, 127))
            << code << " " << in << " " << out;
      }
    }
  }
}

TEST(CodeTable, SeesWhatIsJustBelowATie) {
  EXPECT_EQ(code_table(silu(), -1, 0)[128 + 91], 45);
}

TEST(CodeTable, BreaksTiesToEven) {
  const auto halves = code_table(F::of(Op::multiply, F(), number(0.5)), 0, 0);
  EXPECT_EQ(halves[128 + 1], 0);
  EXPECT_EQ(halves[128 + 3], 2);
  EXPECT_EQ(halves[128 - 1], 0);
  EXPECT_EQ(halves[128 - 3], -2);
  // One part in 10^15 above the tie.
  EXPECT_EQ(code_table(F::of(Op::multiply, F(), number(0.5000000000000001)), 0, 0)[128 + 1], 1);
}

TEST(CodeTable, StaysWithinBoundsWhereTheFunctionDoesNot) {
  const auto roots = code_table(F::of(Op::square_root, F()), 0, 0, 1, 9);
  EXPECT_EQ(roots[0], 1);  // not a number
  EXPECT_EQ(roots[128 + 16], 4);
  EXPECT_EQ(roots[255], 9);
  const auto logs = code_table(F::of(Op::logarithm, F()), 0, -5);
  EXPECT_EQ(logs[128], -128);  // minus infinity
  const auto constant = code_table(number(3), 0, 0);
  EXPECT_TRUE(std::ranges::all_of(constant, [](int v) { return v == 3; }));
}

TEST(CodeTable, OfHalvesIsNearest) {
  const auto table = half_table(silu(), -2, -3);
  ASSERT_EQ(table.size(), 65536u);
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    if ((bits & 0x7c00u) == 0x7c00u) continue;
    const double x = std::ldexp(static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits)})), -2);
    const double y = std::clamp(std::ldexp(x / (1 + std::exp(-x)), 3), -65504.0, 65504.0);
    const double got = static_cast<double>(to_float(table[bits]));
    const double step = std::max(std::ldexp(1.0, std::ilogb(std::max(std::abs(y), 0x1p-14)) - 10), 0x1p-24);
    ASSERT_LE(std::abs(got - y), step / 2 * (1 + 1e-9)) << bits;
  }
}

/// fp32, operation by operation, as a runtime does it.
int by_floats(const F& f, int code, int in, int out) {
  float v = std::ldexp(static_cast<float>(code), in);
  f.apply({&v, 1}, {&v, 1});
  return nearest(static_cast<long double>(std::ldexp(v, -out)), -128, 127);
}

TEST(CodeTable, TellsWhereFloatStepsAgree) {
  int agree = 0, tried = 0;
  for (const F& f : {silu(), gelu(), hard_swish(), F::of(Op::sigmoid, F()), F::of(Op::hyperbolic_tangent, F())}) {
    for (int in = -7; in <= -2; ++in) {
      const auto table = code_table(f, in, in);
      ++tried;
      if (!float_steps_give(table, f, in, in)) continue;
      ++agree;
      for (int code = -128; code <= 127; ++code) {
        ASSERT_EQ(by_floats(f, code, in, in), table[static_cast<std::size_t>(code + 128)]) << in << " " << code;
      }
    }
  }
  EXPECT_GT(agree, tried / 2) << "the claim must be worth something";
}

TEST(CodeTable, DoesNotTrustFloatsNearATie) {
  const F tie = F::of(Op::multiply, F(), number(0.5));
  EXPECT_FALSE(float_steps_give(code_table(tie, 0, 0), tie, 0, 0));
  auto wrong = code_table(silu(), -4, -4);
  ASSERT_TRUE(float_steps_give(wrong, silu(), -4, -4));
  wrong[200] = static_cast<std::int8_t>(wrong[200] + 1);
  EXPECT_FALSE(float_steps_give(wrong, silu(), -4, -4));
}

}  // namespace
}  // namespace qnudge
