// SPDX-License-Identifier: MIT
// Operators that are a function of one element.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "elementwise.hpp"
#include "importer.hpp"
#include "qnudge/model/functions.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using F = ScalarFunction;
using Op = F::Op;

constexpr float kNoBound = 3e38f;  ///< exporters spell "no bound" as the largest float or a little less

F operator+(const F& a, const F& b) {
  return F::of(Op::add, a, b);
}
F operator-(const F& a, const F& b) {
  return F::of(Op::subtract, a, b);
}
F operator*(const F& a, const F& b) {
  return F::of(Op::multiply, a, b);
}
F operator/(const F& a, const F& b) {
  return F::of(Op::divide, a, b);
}
F number(double value) {
  return F::constant(value);
}
F above_zero() {
  return F::of(Op::maximum, F(), number(0));
}
F below_zero() {
  return F::of(Op::minimum, F(), number(0));
}

struct Spelling {
  std::string_view type;
  F (*function)(NodeView&);
};

double real(NodeView& view, std::string_view name, float fallback) {
  return static_cast<double>(view.attributes.real(name, fallback));
}

/// log(1 + exp(x)), for large x as well.
F softplus(NodeView&) {
  const F far = F::of(Op::exponential, F::of(Op::negate, F::of(Op::absolute, F())));
  return above_zero() + F::of(Op::logarithm, number(1) + far);
}

F gelu(NodeView& view) {
  const F x;
  const std::string how = view.attributes.text("approximate", "none");
  check(how == "none" || how == "tanh", "its attribute approximate is '{}'; 'none' or 'tanh' is needed", how);
  if (how == "none") {
    const F bell = F::of(Op::error_function, x * number(std::numbers::sqrt2 / 2));
    return number(0.5) * x * (number(1) + bell);
  }
  const F cubed = number(0.044715) * (x * x * x);
  const F bell = F::of(Op::hyperbolic_tangent, number(std::numbers::sqrt2 * std::numbers::inv_sqrtpi) * (x + cubed));
  return number(0.5) * x * (number(1) + bell);
}

/// alpha * (exp(x) - 1) below 0.
F exponential_below(double alpha, double divisor) {
  const F x = divisor == 1 ? below_zero() : below_zero() / number(divisor);
  return number(alpha) * (F::of(Op::exponential, x) - number(1));
}

F elu(NodeView& view) {
  return above_zero() + exponential_below(real(view, "alpha", 1), 1);
}
F selu(NodeView& view) {
  const double alpha = real(view, "alpha", 1.67326319217681884765625f),
               gamma = real(view, "gamma", 1.05070102214813232421875f);
  return number(gamma) * (above_zero() + exponential_below(alpha, 1));
}
F celu(NodeView& view) {
  const double alpha = real(view, "alpha", 1);
  check(alpha != 0, "its alpha is 0");
  return above_zero() + exponential_below(alpha, alpha);
}

F hard_sigmoid(NodeView& view) {
  const F line = number(real(view, "alpha", 0.2f)) * F() + number(real(view, "beta", 0.5f));
  return clip_function(0, 1).after(line);
}
F hard_swish(NodeView&) {
  return F() * clip_function(0, 1).after(F() / number(6) + number(0.5));
}
F leaky_relu(NodeView& view) {
  return above_zero() + number(real(view, "alpha", 0.01f)) * below_zero();
}
F mish(NodeView& view) {
  return F() * F::of(Op::hyperbolic_tangent, softplus(view));
}
F softsign(NodeView&) {
  return F() / (number(1) + F::of(Op::absolute, F()));
}
/// x where it is beyond alpha: there, rounded up, x - alpha within [0, 1] is 1.
F thresholded_relu(NodeView& view) {
  const F beyond = clip_function(0, 1).after(F() - number(real(view, "alpha", 1)));
  return F() * F::of(Op::ceil, beyond);
}

template <Op op>
F simple(NodeView&) {
  return F::of(op, F());
}

constexpr std::array kSpellings = {
    Spelling{"Abs", simple<Op::absolute>},
    Spelling{"Ceil", simple<Op::ceil>},
    Spelling{"Celu", celu},
    Spelling{"Elu", elu},
    Spelling{"Erf", simple<Op::error_function>},
    Spelling{"Exp", simple<Op::exponential>},
    Spelling{"Floor", simple<Op::floor>},
    Spelling{"Gelu", gelu},
    Spelling{"HardSigmoid", hard_sigmoid},
    Spelling{"HardSwish", hard_swish},
    Spelling{"LeakyRelu", leaky_relu},
    Spelling{"Log", simple<Op::logarithm>},
    Spelling{"Mish", mish},
    Spelling{"Neg", simple<Op::negate>},
    Spelling{"Reciprocal", [](NodeView&) { return number(1) / F(); }},
    Spelling{"Relu", [](NodeView&) { return relu_function(); }},
    Spelling{"Round", simple<Op::round>},
    Spelling{"Selu", selu},
    Spelling{"Sigmoid", simple<Op::sigmoid>},
    Spelling{"Softplus", softplus},
    Spelling{"Softsign", softsign},
    Spelling{"Sqrt", simple<Op::square_root>},
    Spelling{"Tanh", simple<Op::hyperbolic_tangent>},
    Spelling{"ThresholdedRelu", thresholded_relu},
};

/// A bound of Clip: an optional constant scalar, before opset 11 an attribute; infinities become the ends of the float
/// range.
float read_bound(const Builder& b, NodeView& view, std::size_t i, std::string_view name, float fallback) {
  if (b.opset < 11) return view.attributes.real(name, fallback);
  if (!view.has(i)) return fallback;
  const FloatTensor bound = view.floats(i, name, NonFinite::allow);
  check(bound.values.size() == 1, "the bound {} has the shape {}; one value is needed", name, format_dims(bound.dims));
  constexpr float kLargest = std::numeric_limits<float>::max();
  return std::clamp(bound.values[0], -kLargest, kLargest);
}

}  // namespace

Value import_unary(Builder& b, NodeView& view) {
  const std::string& type = view.proto.op_type();
  if (view.last && type == "Sigmoid") {
    view.inputs[0] = b.computed(view.inputs[0]);
    return import_head(b, view);
  }
  const auto* const spelling = std::ranges::find(kSpellings, type, &Spelling::type);
  check_supported(spelling != kSpellings.end(), "it is no function that qnudge knows");
  return apply_function(b, view.name, view.activation(0), spelling->function(view));
}

Value import_clip(Builder& b, NodeView& view) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const float low = read_bound(b, view, 1, "min", -kLargest);
  const float high = read_bound(b, view, 2, "max", kLargest);
  check(low <= high, "its lower bound {} is above its upper bound {}", low, high);
  const bool relu = low == 0 && high >= kNoBound;
  // + 0: no negative zero
  const F function =
      relu ? relu_function() : clip_function(static_cast<double>(low + 0.0f), static_cast<double>(high + 0.0f));
  return apply_function(b, view.name, view.activation(0), function);
}

Value import_prelu(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const auto slope = per_channel(b, x, view.floats(1, "slopes"));
  check_supported(slope.has_value(), "its slopes of shape {} meet {}; one value or one per channel is supported",
                  format_dims(view.constant_dims(1, "slopes")), b.describe(x));
  return apply_function(b, view.name, x, above_zero() + slope->function * below_zero(), slope->parameters);
}

}  // namespace qnudge
