// SPDX-License-Identifier: MIT
#include "qnudge/model/scalar_function.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Op = ScalarFunction::Op;
constexpr std::size_t kBlock = 256;  // elements at a time: all steps of a block stay in the first cache

struct OpRow {
  Op op;
  std::string_view name;
  int operands;
};
constexpr std::array kOps = {
    OpRow{Op::x, "x", 0},
    OpRow{Op::constant, "constant", 0},
    OpRow{Op::add, "add", 2},
    OpRow{Op::subtract, "subtract", 2},
    OpRow{Op::multiply, "multiply", 2},
    OpRow{Op::divide, "divide", 2},
    OpRow{Op::minimum, "minimum", 2},
    OpRow{Op::maximum, "maximum", 2},
    OpRow{Op::power, "power", 2},
    OpRow{Op::negate, "negate", 1},
    OpRow{Op::absolute, "absolute", 1},
    OpRow{Op::exponential, "exponential", 1},
    OpRow{Op::logarithm, "logarithm", 1},
    OpRow{Op::square_root, "square_root", 1},
    OpRow{Op::error_function, "error_function", 1},
    OpRow{Op::hyperbolic_tangent, "hyperbolic_tangent", 1},
    OpRow{Op::sigmoid, "sigmoid", 1},
    OpRow{Op::floor, "floor", 1},
    OpRow{Op::ceil, "ceil", 1},
    OpRow{Op::round, "round", 1},
    OpRow{Op::parameter, "parameter", 0},
};

const OpRow& row(Op op) {
  return kOps[static_cast<std::size_t>(op)];
}

template <class T, class F>
void map(const T* a, const T* b, T* to, std::size_t count, F f) {
  for (std::size_t i = 0; i < count; ++i) to[i] = f(a[i], b[i]);
}

template <class T>
T logistic(T v) {
  const T e = std::exp(-std::abs(v));
  return v < 0 ? e / (1 + e) : 1 / (1 + e);
}

/// to[i] = op(a[i], b[i]), by the arithmetic of T; ops of one operand do not look at b.
template <class T>
void evaluate(Op op, const T* a, const T* b, T* to, std::size_t count) {
  const auto each = [&](auto f) { map(a, b, to, count, f); };
  switch (op) {
    case Op::add:
      return each([](T u, T v) { return u + v; });
    case Op::subtract:
      return each([](T u, T v) { return u - v; });
    case Op::multiply:
      return each([](T u, T v) { return u * v; });
    case Op::divide:
      return each([](T u, T v) { return u / v; });
    case Op::minimum:
      return each([](T u, T v) { return v < u ? v : u; });
    case Op::maximum:
      return each([](T u, T v) { return v > u ? v : u; });
    case Op::power:
      return each([](T u, T v) { return std::pow(u, v); });
    case Op::negate:
      return each([](T u, T) { return -u; });
    case Op::absolute:
      return each([](T u, T) { return std::abs(u); });
    case Op::exponential:
      return each([](T u, T) { return std::exp(u); });
    case Op::logarithm:
      return each([](T u, T) { return std::log(u); });
    case Op::square_root:
      return each([](T u, T) { return std::sqrt(u); });
    case Op::error_function:
      return each([](T u, T) { return std::erf(u); });
    case Op::hyperbolic_tangent:
      return each([](T u, T) { return std::tanh(u); });
    case Op::sigmoid:
      return each([](T u, T) { return logistic(u); });
    case Op::floor:
      return each([](T u, T) { return std::floor(u); });
    case Op::ceil:
      return each([](T u, T) { return std::ceil(u); });
    case Op::round:
      return each([](T u, T) { return std::nearbyint(u); });
    case Op::x:
    case Op::constant:
    case Op::parameter:
      break;
  }
  fail(ErrorKind::internal, "step '{}' has no operands to evaluate", to_string(op));
}

}  // namespace

int operands(Op op) {
  return row(op).operands;
}
std::string_view to_string(Op op) {
  return row(op).name;
}

ScalarFunction::ScalarFunction() : steps_(1) {}

ScalarFunction::ScalarFunction(std::span<const Step> steps) : steps_(steps.begin(), steps.end()) {
  require(!steps_.empty() && steps_[0] == Step{} && steps_.size() <= kMaxSteps, ErrorKind::input,
          "a scalar function of {} steps; 1 to {} that begin with x are needed", steps_.size(), kMaxSteps);
  for (std::size_t i = 1; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const auto earlier = [&](int at) { return at >= 0 && at < static_cast<int>(i); };
    const bool numbered = step.constant >= 0 && step.constant < kMaxSteps && step.constant == std::floor(step.constant);
    const bool known =
        static_cast<std::size_t>(step.op) < kOps.size() && step.op != Op::x && (step.op != Op::parameter || numbered);
    require(known && earlier(step.a) == (operands(step.op) >= 1) && earlier(step.b) == (operands(step.op) == 2),
            ErrorKind::input, "step {} of a scalar function does not refer to earlier steps as its kind needs", i);
  }
}

int ScalarFunction::append(const Step& step) {
  const auto it = std::ranges::find(steps_, step);
  if (it != steps_.end()) return static_cast<int>(it - steps_.begin());
  require(steps_.size() < kMaxSteps, ErrorKind::input, "a chain of more than {} element-wise steps", kMaxSteps);
  steps_.push_back(step);
  return static_cast<int>(steps_.size()) - 1;
}

/// The steps of `other` with step `x` for its x; the place of its value.
int ScalarFunction::append(const ScalarFunction& other, int x) {
  std::vector<int> place{x};
  for (std::size_t i = 1; i < other.steps_.size(); ++i) {
    Step step = other.steps_[i];
    if (step.a >= 0) step.a = place[static_cast<std::size_t>(step.a)];
    if (step.b >= 0) step.b = place[static_cast<std::size_t>(step.b)];
    place.push_back(append(step));
  }
  return place.back();
}

/// Step `last` becomes the value.
ScalarFunction ScalarFunction::cut_to(int last) {
  steps_.resize(static_cast<std::size_t>(last) + 1);
  return std::move(*this);
}

ScalarFunction ScalarFunction::leaf(const Step& step) {
  ScalarFunction f;
  f.append(step);
  return f;
}

ScalarFunction ScalarFunction::constant(double value) {
  return leaf({.op = Op::constant, .constant = value});
}

ScalarFunction ScalarFunction::parameter(std::size_t number) {
  return leaf({.op = Op::parameter, .constant = static_cast<double>(number)});
}

std::size_t ScalarFunction::parameters() const {
  std::size_t count = 0;
  for (const Step& step : steps_) {
    if (step.op == Op::parameter) count = std::max(count, static_cast<std::size_t>(step.constant) + 1);
  }
  return count;
}

ScalarFunction ScalarFunction::renumbered(std::size_t first) const {
  ScalarFunction f = *this;
  for (Step& step : f.steps_) {
    if (step.op == Op::parameter) step.constant += static_cast<double>(first);
  }
  return f;
}

/// Step by step, so that the functions of all channels have the same steps.
ScalarFunction ScalarFunction::of_channel(const ChannelValues& values, std::size_t channel) const {
  ScalarFunction f = *this;
  for (Step& step : f.steps_) {
    if (step.op != Op::parameter) continue;
    step = {.op = Op::constant, .constant = values.at(static_cast<std::size_t>(step.constant)).at(channel)};
  }
  return f;
}

ScalarFunction ScalarFunction::of(Op op, const ScalarFunction& a) {
  ScalarFunction f;
  return f.cut_to(f.append({.op = op, .a = f.append(a, 0)}));
}

ScalarFunction ScalarFunction::of(Op op, const ScalarFunction& a, const ScalarFunction& b) {
  ScalarFunction f;
  const int left = f.append(a, 0), right = f.append(b, 0);
  return f.cut_to(f.append({.op = op, .a = left, .b = right}));
}

ScalarFunction ScalarFunction::after(const ScalarFunction& inner) const {
  ScalarFunction f = inner;
  return f.cut_to(f.append(*this, static_cast<int>(inner.steps_.size()) - 1));
}

bool ScalarFunction::depends_on_x() const {
  std::vector<bool> depends{true};
  for (std::size_t i = 1; i < steps_.size(); ++i) {
    const auto at = [&](int j) { return j >= 0 && depends[static_cast<std::size_t>(j)]; };
    depends.push_back(at(steps_[i].a) || at(steps_[i].b));
  }
  return depends.back();
}

std::optional<ScalarFunction::Bounds> ScalarFunction::bounds() const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<std::optional<Bounds>> clamps{Bounds{-kInfinity, kInfinity}};
  for (std::size_t i = 1; i < steps_.size(); ++i) {
    auto& clamp = clamps.emplace_back();
    const Step& step = steps_[i];
    if (step.op != Op::minimum && step.op != Op::maximum) continue;
    for (const auto& [of, with] : {std::pair{step.a, step.b}, std::pair{step.b, step.a}}) {
      const auto& inner = clamps[static_cast<std::size_t>(of)];
      const Step& limit = steps_[static_cast<std::size_t>(with)];
      if (!inner || limit.op != Op::constant) continue;
      const auto bound = [&](double v) {
        return step.op == Op::minimum ? std::min(v, limit.constant) : std::max(v, limit.constant);
      };
      clamp = Bounds{bound(inner->low), bound(inner->high)};
    }
  }
  return clamps.back();
}

std::optional<ScalarFunction::Affine> ScalarFunction::affine() const {
  std::vector<std::optional<Affine>> lines{Affine{1.0, 0.0}};
  for (std::size_t i = 1; i < steps_.size(); ++i) {
    auto& line = lines.emplace_back();
    const Step& step = steps_[i];
    const auto of = [&](int j) { return j < 0 ? std::optional(Affine{}) : lines[static_cast<std::size_t>(j)]; };
    const auto a = of(step.a), b = of(step.b);
    if (!a || !b) continue;
    if (step.op == Op::constant) line = Affine{0.0, step.constant};
    if (step.op == Op::add) line = Affine{a->scale + b->scale, a->shift + b->shift};
    if (step.op == Op::subtract) line = Affine{a->scale - b->scale, a->shift - b->shift};
    if (step.op == Op::negate) line = Affine{-a->scale, -a->shift};
    if (step.op == Op::multiply && b->scale == 0.0) line = Affine{a->scale * b->shift, a->shift * b->shift};
    if (step.op == Op::multiply && a->scale == 0.0) line = Affine{b->scale * a->shift, b->shift * a->shift};
    if (step.op == Op::divide && b->scale == 0.0) line = Affine{a->scale / b->shift, a->shift / b->shift};
  }
  return lines.back();
}

double ScalarFunction::operator()(double x) const {
  std::vector<double> values(steps_.size(), x);
  const auto value = [&](int step) { return values.data() + std::max(step, 0); };
  for (int i = 1; i < static_cast<int>(steps_.size()); ++i) {
    const Step& step = steps_[static_cast<std::size_t>(i)];
    if (step.op == Op::constant) {
      *value(i) = step.constant;
    } else {
      evaluate(step.op, value(step.a), value(step.b), value(i), 1);
    }
  }
  return values.back();
}

void ScalarFunction::apply(std::span<const float> x, std::span<float> y) const {
  require(x.size() == y.size(), ErrorKind::internal, "{} values for {}", y.size(), x.size());
  std::vector<float> values(steps_.size() * kBlock);
  const auto block = [&](int step) { return values.data() + static_cast<std::size_t>(std::max(step, 0)) * kBlock; };
  for (std::size_t i = 1; i < steps_.size(); ++i) {
    if (steps_[i].op == Op::constant) {
      std::fill_n(block(static_cast<int>(i)), kBlock, static_cast<float>(steps_[i].constant));
    }
  }
  for (std::size_t first = 0; first < x.size(); first += kBlock) {
    const std::size_t count = std::min(kBlock, x.size() - first);
    std::copy_n(x.data() + first, count, block(0));
    for (std::size_t i = 1; i < steps_.size(); ++i) {
      const Step& step = steps_[i];
      if (step.op == Op::constant) continue;
      evaluate(step.op, block(step.a), block(step.b), block(static_cast<int>(i)), count);
    }
    std::copy_n(block(static_cast<int>(steps_.size()) - 1), count, y.data() + first);
  }
}

}  // namespace qnudge
