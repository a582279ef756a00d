// SPDX-License-Identifier: MIT
// Arithmetic on constants, element by element. Floats are computed in double and rounded once, which for the four basic
// operations and the square root is what float32 gives.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "fold.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using Type = Known::Type;
using Unary = double (*)(double);
using Binary = double (*)(double, double);

double sign(double x) {
  return x > 0 ? 1 : x < 0 ? -1 : 0;
}

constexpr std::array<std::pair<std::string_view, Unary>, 18> kUnary = {{
    {"Abs", [](double x) { return std::abs(x); }},
    {"Ceil", [](double x) { return std::ceil(x); }},
    {"Cos", [](double x) { return std::cos(x); }},
    {"Erf", [](double x) { return std::erf(x); }},
    {"Exp", [](double x) { return std::exp(x); }},
    {"Floor", [](double x) { return std::floor(x); }},
    {"Log", [](double x) { return std::log(x); }},
    {"Neg", [](double x) { return -x; }},
    {"Reciprocal", [](double x) { return 1 / x; }},
    {"Relu", [](double x) { return x > 0 ? x : 0; }},
    {"Round", [](double x) { return std::nearbyint(x); }},
    {"Sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
    {"Sign", sign},
    {"Sin", [](double x) { return std::sin(x); }},
    {"Softplus", [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }},
    {"Sqrt", [](double x) { return std::sqrt(x); }},
    {"Tan", [](double x) { return std::tan(x); }},
    {"Tanh", [](double x) { return std::tanh(x); }},
}};

constexpr std::array<std::pair<std::string_view, Binary>, 9> kBinary = {{
    {"Add", [](double a, double b) { return a + b; }},
    {"Div", [](double a, double b) { return a / b; }},
    {"Max", [](double a, double b) { return std::max(a, b); }},
    {"Min", [](double a, double b) { return std::min(a, b); }},
    {"Mod", [](double a, double b) { return std::fmod(a, b); }},
    {"Mul", [](double a, double b) { return a * b; }},
    {"Pow", [](double a, double b) { return std::pow(a, b); }},
    {"Sub", [](double a, double b) { return a - b; }},
    {"Sum", [](double a, double b) { return a + b; }},
}};

template <class Table>
auto function(const Table& table, std::string_view type) {
  return std::ranges::find(table, type, [](const auto& row) { return row.first; })->second;
}

Affine integer_power(const Affine& a, const Affine& b) {
  check_supported(a.fixed() && b.fixed() && b.base >= 0, "an integer power with a negative or unknown exponent");
  Affine power{1};
  if (a.base >= -1 && a.base <= 1) return b.base == 0 ? power : b.base % 2 == 0 ? a * a : a;
  for (std::int64_t i = 0; i < b.base; ++i) power = power * a;  // what does not end soon overflows, and is refused
  return power;
}

Affine integer_binary(std::string_view type, const Affine& a, const Affine& b, bool fmod) {
  if (type == "Add" || type == "Sum") return a + b;
  if (type == "Sub") return a - b;
  if (type == "Mul") return a * b;
  if (type == "Div") return a / b;
  if (type == "Mod") return modulo(a, b, fmod);
  if (type == "Pow") return integer_power(a, b);
  const bool less = sign_of(a - b) < 0;
  return (type == "Min") == less ? a : b;
}

/// `b` and `a` broadcast against each other; calls make(place in a, place in b) for every element in order.
template <class Make>
Extents for_pairs(FoldView& f, const Known& a, const Known& b, Make make) {
  const Extents dims = broadcast(a.dims, b.dims);
  f.builder.count_folded(dims);
  const auto places_a = broadcast_map(IndexMap::row_major(a.dims), dims).places();
  const auto places_b = broadcast_map(IndexMap::row_major(b.dims), dims).places();
  for (std::size_t i = 0; i < places_a.size(); ++i) {
    make(static_cast<std::size_t>(places_a[i]), static_cast<std::size_t>(places_b[i]));
  }
  return dims;
}

void check_same_type(const Known& a, const Known& b) {
  check(a.is_real() == b.is_real(), "it mixes floats and integers");
}

Known binary(FoldView& f, std::string_view type, const Known& a, const Known& b) {
  check_same_type(a, b);
  Known result;
  result.type = a.type;
  if (a.is_real()) {
    const Binary compute = function(kBinary, type);
    result.dims = for_pairs(f, a, b, [&](std::size_t i, std::size_t j) {
      result.reals.push_back(static_cast<float>(compute(a.reals[i], b.reals[j])));
    });
  } else {
    const bool fmod = type == "Mod" && f.node.attributes.integer("fmod", 0) != 0;
    result.dims = for_pairs(f, a, b, [&](std::size_t i, std::size_t j) {
      result.integers.push_back(integer_binary(type, a.integers[i], b.integers[j], fmod));
    });
  }
  return result;
}

bool holds(std::string_view type, int order) {
  if (type == "Equal") return order == 0;
  if (type == "Less") return order < 0;
  if (type == "LessOrEqual") return order <= 0;
  return type == "Greater" ? order > 0 : order >= 0;
}

Affine truncate(float value) {
  check(value > -0x1p62f && value < 0x1p62f, "it turns {} into an integer", value);
  return {static_cast<std::int64_t>(value)};
}

Known convert(FoldView& f, const Known& from, Type type) {
  f.builder.count_folded(from.dims);
  Known to;
  to.type = type;
  to.dims = from.dims;
  for (std::int64_t i = 0; i < from.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (from.is_real() && type == Type::real) {
      to.reals.push_back(from.reals[at]);
    } else if (from.is_real()) {
      to.integers.push_back(type == Type::boolean ? Affine{from.reals[at] != 0} : truncate(from.reals[at]));
    } else if (type == Type::real) {
      check_supported(from.integers[at].fixed(),
                      "it turns an integer that depends on the number of samples into a float");
      to.reals.push_back(static_cast<float>(from.integers[at].base));
    } else {
      to.integers.push_back(type == Type::boolean ? Affine{sign_of(from.integers[at]) != 0} : from.integers[at]);
    }
  }
  return to;
}

}  // namespace

std::vector<Known> fold_unary(FoldView& f) {
  Known result = f.in(0);
  f.builder.count_folded(result.dims);
  const std::string_view type = f.node.proto.op_type();
  const Unary compute = function(kUnary, type);
  for (float& value : result.reals) value = static_cast<float>(compute(value));
  for (Affine& value : result.integers) {
    check_supported(type == "Neg" || type == "Abs" || type == "Sign" || type == "Relu", "it takes integers");
    const int s = type == "Neg" ? -1 : sign_of(value);
    value = type == "Sign" ? Affine{s} : type == "Relu" && s < 0 ? Affine{0} : s < 0 ? value * Affine{-1} : value;
  }
  return {std::move(result)};
}

std::vector<Known> fold_binary(FoldView& f) {
  return {binary(f, f.node.proto.op_type(), f.in(0), f.in(1))};
}

std::vector<Known> fold_variadic(FoldView& f) {
  Known result = f.in(0);
  for (std::size_t i = 1; i < f.inputs.size(); ++i) result = binary(f, f.node.proto.op_type(), result, f.in(i));
  return {std::move(result)};
}

std::vector<Known> fold_compare(FoldView& f) {
  const Known &a = f.in(0), &b = f.in(1);
  check_same_type(a, b);
  const std::string_view type = f.node.proto.op_type();
  Known result;
  result.type = Type::boolean;
  result.dims = for_pairs(f, a, b, [&](std::size_t i, std::size_t j) {
    int order = 0;
    if (a.is_real()) {
      order = a.reals[i] < b.reals[j] ? -1 : a.reals[i] > b.reals[j] ? 1 : 0;
    } else {
      order = sign_of(a.integers[i] - b.integers[j]);
    }
    result.integers.push_back({holds(type, order)});
  });
  return {std::move(result)};
}

std::vector<Known> fold_logic(FoldView& f) {
  const std::string_view type = f.node.proto.op_type();
  const auto truth = [](const Known& known, std::size_t i) { return known.integers[i].base != 0; };
  check(!f.in(0).is_real() && (type == "Not" || !f.in(1).is_real()), "it takes floats");
  Known result;
  result.type = Type::boolean;
  const Known &a = f.in(0), &b = type == "Not" ? a : f.in(1);
  result.dims = for_pairs(f, a, b, [&](std::size_t i, std::size_t j) {
    const bool x = truth(a, i), y = truth(b, j);
    const bool value = type == "Not" ? !x : type == "And" ? x && y : type == "Or" ? x || y : x != y;
    result.integers.push_back({value});
  });
  return {std::move(result)};
}

std::vector<Known> fold_cast(FoldView& f) {
  if (f.node.proto.op_type() == "CastLike") return {convert(f, f.in(0), f.in(1).type)};
  using onnx::TensorProto;
  const std::int64_t to = f.node.attributes.integer("to", 0);
  f.node.attributes.integer("saturate", 1);  // of 8-bit floats alone
  switch (to) {
    case TensorProto::FLOAT:
    case TensorProto::DOUBLE:
      return {convert(f, f.in(0), Type::real)};
    case TensorProto::INT64:
    case TensorProto::INT32:
      return {convert(f, f.in(0), Type::integer)};
    case TensorProto::BOOL:
      return {convert(f, f.in(0), Type::boolean)};
    default:
      unsupported("it casts a constant to type {}; FLOAT, DOUBLE, INT32, INT64 and BOOL are evaluated", to);
  }
}

std::vector<Known> fold_clip(FoldView& f) {
  Known result = f.in(0);
  check_supported(result.is_real(), "it takes integers");
  f.builder.count_folded(result.dims);
  constexpr float kLargest = std::numeric_limits<float>::max();
  float low = -kLargest, high = kLargest;
  if (f.builder.opset < 11) {
    low = f.node.attributes.real("min", low);
    high = f.node.attributes.real("max", high);
  } else {
    if (f.has(1)) low = only(fixed_floats(f.in(1), "lower bounds").values);
    if (f.has(2)) high = only(fixed_floats(f.in(2), "upper bounds").values);
  }
  for (float& value : result.reals) value = std::min(std::max(value, low), high);
  return {std::move(result)};
}

std::vector<Known> fold_where(FoldView& f) {
  const Known &condition = f.in(0), &yes = f.in(1), &no = f.in(2);
  check(!condition.is_real(), "its condition is a float");
  check_same_type(yes, no);
  const Extents dims = broadcast(condition.dims, broadcast(yes.dims, no.dims));
  f.builder.count_folded(dims);
  const auto chosen = broadcast_map(IndexMap::row_major(condition.dims), dims).places();
  const auto places_yes = broadcast_map(IndexMap::row_major(yes.dims), dims).places();
  const auto places_no = broadcast_map(IndexMap::row_major(no.dims), dims).places();
  Known result;
  result.type = yes.type;
  result.dims = dims;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const bool first = condition.integers[static_cast<std::size_t>(chosen[i])].base != 0;
    const Known& from = first ? yes : no;
    const auto at = static_cast<std::size_t>(first ? places_yes[i] : places_no[i]);
    if (from.is_real()) {
      result.reals.push_back(from.reals[at]);
    } else {
      result.integers.push_back(from.integers[at]);
    }
  }
  return {std::move(result)};
}

}  // namespace qnudge
