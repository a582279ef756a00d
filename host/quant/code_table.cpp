// SPDX-License-Identifier: MIT
#include "qnudge/quant/code_table.hpp"

#include <mpfr.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Op = ScalarFunction::Op;
constexpr mpfr_rnd_t kNearest = MPFR_RNDN;
constexpr mpfr_prec_t kCodeBits = 192, kHalfPrecision = 64;

/// Owner of one MPFR number.
class Number {
 public:
  explicit Number(mpfr_prec_t bits) { mpfr_init2(value_, bits); }
  Number(Number&& other) noexcept {
    mpfr_init2(value_, MPFR_PREC_MIN);
    mpfr_swap(value_, other.value_);
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  Number& operator=(Number&&) = delete;
  ~Number() { mpfr_clear(value_); }

  mpfr_ptr get() { return value_; }

 private:
  mpfr_t value_;
};

/// 1 / (1 + exp(-a))
void logistic(mpfr_ptr to, mpfr_srcptr a) {
  mpfr_neg(to, a, kNearest);
  mpfr_exp(to, to, kNearest);
  mpfr_add_ui(to, to, 1, kNearest);
  mpfr_ui_div(to, 1, to, kNearest);
}

void evaluate(Op op, mpfr_ptr to, mpfr_srcptr a, mpfr_srcptr b) {
  switch (op) {
    case Op::add:
      mpfr_add(to, a, b, kNearest);
      return;
    case Op::subtract:
      mpfr_sub(to, a, b, kNearest);
      return;
    case Op::multiply:
      mpfr_mul(to, a, b, kNearest);
      return;
    case Op::divide:
      mpfr_div(to, a, b, kNearest);
      return;
    case Op::minimum:
      mpfr_min(to, a, b, kNearest);
      return;
    case Op::maximum:
      mpfr_max(to, a, b, kNearest);
      return;
    case Op::power:
      mpfr_pow(to, a, b, kNearest);
      return;
    case Op::negate:
      mpfr_neg(to, a, kNearest);
      return;
    case Op::absolute:
      mpfr_abs(to, a, kNearest);
      return;
    case Op::exponential:
      mpfr_exp(to, a, kNearest);
      return;
    case Op::logarithm:
      mpfr_log(to, a, kNearest);
      return;
    case Op::square_root:
      mpfr_sqrt(to, a, kNearest);
      return;
    case Op::error_function:
      mpfr_erf(to, a, kNearest);
      return;
    case Op::hyperbolic_tangent:
      mpfr_tanh(to, a, kNearest);
      return;
    case Op::sigmoid:
      return logistic(to, a);
    case Op::floor:
      mpfr_floor(to, a);
      return;
    case Op::ceil:
      mpfr_ceil(to, a);
      return;
    case Op::round:
      mpfr_rint(to, a, kNearest);
      return;
    case Op::x:
    case Op::constant:
    case Op::parameter:
      break;
  }
  fail(ErrorKind::internal, "step '{}' has no operands to evaluate", to_string(op));
}

/// A function's steps as MPFR numbers, evaluated for one x after another.
class Evaluator {
 public:
  Evaluator(const ScalarFunction& f, mpfr_prec_t bits) : f_(f), result_(bits) {
    for (const ScalarFunction::Step& step : f.steps()) {
      values_.emplace_back(bits);
      mpfr_set_d(values_.back().get(), step.constant, kNearest);
    }
  }

  /// f(x * 2^in_exponent) / 2^out_exponent; the result stands until the next call.
  mpfr_ptr operator()(double x, int in_exponent, int out_exponent) {
    mpfr_set_d(values_[0].get(), x, kNearest);
    mpfr_mul_2si(values_[0].get(), values_[0].get(), in_exponent, kNearest);
    for (std::size_t i = 1; i < values_.size(); ++i) {
      const ScalarFunction::Step& step = f_.steps()[i];
      const auto at = [&](int j) { return values_[static_cast<std::size_t>(std::max(j, 0))].get(); };
      if (step.op != Op::constant) evaluate(step.op, values_[i].get(), at(step.a), at(step.b));
    }
    mpfr_mul_2si(result_.get(), values_.back().get(), -out_exponent, kNearest);
    return result_.get();
  }

 private:
  const ScalarFunction& f_;
  std::vector<Number> values_;  // by step
  Number result_;
};

std::int8_t nearest_code(mpfr_ptr value, int low, int high) {
  if (mpfr_nan_p(value) != 0) return static_cast<std::int8_t>(std::clamp(0, low, high));
  if (mpfr_cmp_si(value, low) <= 0) return static_cast<std::int8_t>(low);
  if (mpfr_cmp_si(value, high) >= 0) return static_cast<std::int8_t>(high);
  return static_cast<std::int8_t>(mpfr_get_si(value, kNearest));
}

/// Through fp32 rounded to odd: a bit for whatever was cut off keeps the second rounding from meeting a false tie.
Half nearest_half(mpfr_ptr value) {
  if (mpfr_nan_p(value) != 0) return to_half(0.0f);
  const float cut = std::clamp(mpfr_get_flt(value, MPFR_RNDZ), -kLargestHalf, kLargestHalf);
  const bool inexact = mpfr_cmp_d(value, static_cast<double>(cut)) != 0;
  return to_half(inexact && std::abs(cut) < kLargestHalf ? float_of(bits_of(cut) | 1u) : cut);
}

struct Interval {
  double low, high;
};

/// What a runtime's fp32 kernel may return for a true value of `v`: its approximations of transcendental functions stay
/// within some units in the last place, or near 1 within an absolute error of the same size.
Interval widened(Interval v, bool transcendental) {
  const double relative = std::ldexp(1.0, transcendental ? -19 : -23);
  const double absolute = transcendental ? std::ldexp(1.0, -21) : std::ldexp(1.0, -140);
  return {v.low - std::abs(v.low) * relative - absolute, v.high + std::abs(v.high) * relative + absolute};
}

Interval hull(std::initializer_list<double> values) {
  const auto [low, high] = std::minmax(values);
  return {low, high};
}

/// Image of the intervals under `op`; (-inf, inf) where it may not be a number.
Interval image(Op op, const Interval& a, const Interval& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const Interval anything{-kInfinity, kInfinity};
  const auto step = [&](double u, double v) {
    const ScalarFunction x;
    const ScalarFunction f =
        operands(op) == 1 ? ScalarFunction::of(op, x) : ScalarFunction::of(op, x, ScalarFunction::constant(v));
    return f(u);
  };
  switch (op) {
    case Op::add:
    case Op::subtract:
    case Op::multiply:
    case Op::minimum:
    case Op::maximum:
      return widened(hull({step(a.low, b.low), step(a.low, b.high), step(a.high, b.low), step(a.high, b.high)}), false);
    case Op::divide:
      if (b.low <= 0 && b.high >= 0) return anything;
      return widened(hull({a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high}), false);
    case Op::power:
      if (a.low <= 0 && !(b.low == b.high && b.low == 2.0)) return anything;
      if (a.low <= 0)
        return widened({a.high >= 0 ? 0.0 : a.high * a.high, std::max(a.low * a.low, a.high * a.high)}, true);
      return widened(hull({step(a.low, b.low), step(a.low, b.high), step(a.high, b.low), step(a.high, b.high)}), true);
    case Op::absolute:
      if (a.low <= 0 && a.high >= 0) return {0.0, std::max(-a.low, a.high)};
      return hull({std::abs(a.low), std::abs(a.high)});
    case Op::negate:
      return {-a.high, -a.low};
    case Op::logarithm:
      if (a.low <= 0) return anything;
      return widened({std::log(a.low), std::log(a.high)}, true);
    case Op::square_root:
      if (a.low < 0) return anything;
      return widened({std::sqrt(a.low), std::sqrt(a.high)}, false);
    case Op::floor:
    case Op::ceil:
    case Op::round:
      return {step(a.low, 0), step(a.high, 0)};
    case Op::exponential:
    case Op::error_function:
    case Op::hyperbolic_tangent:
    case Op::sigmoid:
      return widened({step(a.low, 0), step(a.high, 0)}, true);
    case Op::x:
    case Op::constant:
    case Op::parameter:
      break;
  }
  return anything;
}

/// Whatever fp32 evaluation may give for x.
Interval float_image(const ScalarFunction& f, double x) {
  std::vector<Interval> values{{x, x}};
  for (std::size_t i = 1; i < f.steps().size(); ++i) {
    const ScalarFunction::Step& step = f.steps()[i];
    const auto at = [&](int j) { return values[static_cast<std::size_t>(std::max(j, 0))]; };
    const auto constant = static_cast<double>(static_cast<float>(step.constant));
    values.push_back(step.op == Op::constant ? Interval{constant, constant} : image(step.op, at(step.a), at(step.b)));
  }
  return values.back();
}

}  // namespace

std::vector<std::int8_t> code_table(const ScalarFunction& f, int in_exponent, int out_exponent, int low, int high) {
  Evaluator evaluate(f, kCodeBits);
  std::vector<std::int8_t> table;
  for (int code = -128; code <= 127; ++code) {
    table.push_back(nearest_code(evaluate(code, in_exponent, out_exponent), low, high));
  }
  return table;
}

std::vector<Half> half_table(const ScalarFunction& f, int in_exponent, int out_exponent) {
  Evaluator evaluate(f, kHalfPrecision);
  std::vector<Half> table;
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto x = static_cast<double>(to_float(Half{static_cast<std::uint16_t>(bits)}));
    table.push_back(nearest_half(evaluate(x, in_exponent, out_exponent)));
  }
  return table;
}

std::vector<std::int32_t> exponential_table(int exponent) {
  constexpr int kFractionalBits = 30;
  std::vector<std::int32_t> table;
  Number value(kCodeBits);
  for (int d = 0; d < 256; ++d) {
    mpfr_set_si_2exp(value.get(), -d, exponent, kNearest);
    mpfr_exp(value.get(), value.get(), kNearest);
    mpfr_mul_2si(value.get(), value.get(), kFractionalBits, kNearest);
    table.push_back(static_cast<std::int32_t>(mpfr_get_si(value.get(), kNearest)));
  }
  return table;
}

bool float_steps_give(const std::vector<std::int8_t>& table, const ScalarFunction& f, int in_exponent, int out_exponent,
                      int low, int high) {
  for (int code = -128; code <= 127; ++code) {
    const Interval y = float_image(f, std::ldexp(code, in_exponent));
    const auto rounded = [&](double v) {
      const double steps =
          std::clamp(std::ldexp(v, -out_exponent), static_cast<double>(low), static_cast<double>(high));
      return static_cast<int>(std::nearbyint(steps));
    };
    const int wanted = table[static_cast<std::size_t>(code + 128)];
    if (std::isnan(y.low) || std::isnan(y.high) || rounded(y.low) != wanted || rounded(y.high) != wanted) return false;
  }
  return true;
}

}  // namespace qnudge
