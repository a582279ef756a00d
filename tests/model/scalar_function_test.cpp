// SPDX-License-Identifier: MIT
#include "qnudge/model/scalar_function.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using F = ScalarFunction;
using Op = F::Op;

F number(double v) {
  return F::constant(v);
}
F clip(const F& f, double low, double high) {
  return F::of(Op::minimum, F::of(Op::maximum, f, number(low)), number(high));
}

TEST(ScalarFunction, IsXAtFirst) {
  EXPECT_TRUE(F().is_identity());
  EXPECT_EQ(F()(3.5), 3.5);
  EXPECT_TRUE(F().depends_on_x());
  EXPECT_FALSE(number(2).depends_on_x());
  EXPECT_EQ(number(2)(100.0), 2.0);
}

TEST(ScalarFunction, BranchesMeetAgain) {
  const F silu = F::of(Op::multiply, F(), F::of(Op::sigmoid, F()));
  EXPECT_EQ(silu.steps().size(), 3u);
  for (const double x : {-30.0, -1.0, 0.0, 0.3, 8.0}) EXPECT_DOUBLE_EQ(silu(x), x / (1 + std::exp(-x)));
  const F mish = F::of(
      Op::multiply, F(),
      F::of(Op::hyperbolic_tangent, F::of(Op::logarithm, F::of(Op::add, number(1), F::of(Op::exponential, F())))));
  EXPECT_DOUBLE_EQ(mish(0.7), 0.7 * std::tanh(std::log(1 + std::exp(0.7))));
}

TEST(ScalarFunction, ComposesInOrder) {
  const F plus_one = F::of(Op::add, F(), number(1)), doubled = F::of(Op::multiply, F(), number(2));
  EXPECT_EQ(plus_one.after(doubled)(5), 11);
  EXPECT_EQ(doubled.after(plus_one)(5), 12);
  EXPECT_EQ(F().after(doubled), doubled);
  EXPECT_EQ(doubled.after(F()), doubled);
  // A step that both share is kept once, also where it is the value of the inner or of the outer one.
  const F twice = F::of(Op::subtract, F::of(Op::multiply, doubled, number(3)), doubled);
  EXPECT_EQ(twice(5), 20);
  EXPECT_EQ(F::of(Op::multiply, F(), number(2)).after(number(4))(1), 8);
}

TEST(ScalarFunction, KnowsBounds) {
  const auto relu6 = clip(F(), 0, 6).bounds();
  ASSERT_TRUE(relu6);
  EXPECT_EQ(relu6->low, 0);
  EXPECT_EQ(relu6->high, 6);
  const auto relu = F::of(Op::maximum, number(0), F()).bounds();
  ASSERT_TRUE(relu);
  EXPECT_EQ(relu->low, 0);
  EXPECT_TRUE(std::isinf(relu->high));
  const auto tighter = clip(clip(F(), -1, 5), 0, 9).bounds();
  ASSERT_TRUE(tighter);
  EXPECT_EQ(tighter->low, 0);
  EXPECT_EQ(tighter->high, 5);
  EXPECT_FALSE(F::of(Op::sigmoid, F()).bounds());
  EXPECT_FALSE(clip(F::of(Op::add, F(), number(3)), 0, 6).bounds());
  EXPECT_FALSE(F::of(Op::minimum, F(), F::of(Op::negate, F())).bounds());
}

TEST(ScalarFunction, KnowsLines) {
  const F f = F::of(Op::divide, F::of(Op::add, F::of(Op::multiply, number(3), F()), number(1)), number(2));
  const auto line = f.affine();
  ASSERT_TRUE(line);
  EXPECT_EQ(line->scale, 1.5);
  EXPECT_EQ(line->shift, 0.5);
  EXPECT_TRUE(F().affine());
  EXPECT_FALSE(F::of(Op::multiply, F(), F()).affine());
  EXPECT_FALSE(F::of(Op::divide, number(1), F()).affine());
  EXPECT_FALSE(clip(F(), 0, 6).affine());
}

TEST(ScalarFunction, AppliesToManyValuesAsToOne) {
  const F f = F::of(Op::add, F::of(Op::power, F::of(Op::absolute, F()), number(1.5)), F::of(Op::error_function, F()));
  std::mt19937 draw(1);
  std::normal_distribution<float> normal;
  std::vector<float> x(1000), y(1000);
  for (float& v : x) v = normal(draw);
  f.apply(x, y);
  for (std::size_t i = 0; i < x.size(); ++i) {
    ASSERT_NEAR(y[i], f(static_cast<double>(x[i])), 1e-5) << i;
  }
  f.apply(x, x);
  EXPECT_EQ(x, y);
}

TEST(ScalarFunction, RefusesStepsThatDoNotFit) {
  using Steps = std::vector<F::Step>;
  EXPECT_NO_THROW(F(Steps{{}, {.op = Op::negate, .a = 0}}));
  for (const Steps& bad : {Steps{}, Steps{{.op = Op::constant}}, Steps{{}, {.op = Op::add, .a = 0}},
                           Steps{{}, {.op = Op::negate, .a = 1}}, Steps{{}, {.op = Op::negate, .a = 0, .b = 0}},
                           Steps{{}, {.op = Op::x}}, Steps{{}, {.op = static_cast<Op>(99), .a = 0}}}) {
    EXPECT_THROW(F{bad}, Error) << bad.size();
  }
  F chain;
  EXPECT_THROW(
      {
        for (int i = 0; i < 3000; ++i) chain = F::of(Op::add, chain, number(i));
      },
      Error);
}

}  // namespace
}  // namespace qnudge
