// SPDX-License-Identifier: MIT
#pragma once

#include <variant>

#include "qnudge/model/functions.hpp"
#include "qnudge/quant/network.hpp"

/// Short words for the payloads of nodes.
namespace qnudge::test {

/// A visitor of several lambdas: one that forgets a primitive does not compile.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

inline FloatTable relu_table() {
  return {relu_function()};
}
inline FloatTable clip_table(double low, double high) {
  return {clip_function(low, high)};
}
inline FloatTable sigmoid_table() {
  return {sigmoid_function()};
}

/// The operation of `kind` on real numbers.
inline double real_combined(CombineKind kind, double a, double b) {
  switch (kind) {
    case CombineKind::add:
      return a + b;
    case CombineKind::subtract:
      return a - b;
    case CombineKind::multiply:
      return a * b;
    case CombineKind::divide:
      return a / b;
    case CombineKind::minimum:
      return a < b ? a : b;
    case CombineKind::maximum:
      return a > b ? a : b;
  }
  return 0;
}

/// A float or integer combination of real tensors, NHWC; an axis of extent 1 is repeated.
template <class Combine>
std::vector<double> real_combine(const Combine& combine, const Shape& out, std::vector<const std::vector<double>*> in,
                                 std::vector<Shape> shapes) {
  const std::vector<double> constant(combine.constant.begin(), combine.constant.end());
  if (!constant.empty()) {
    in.insert(combine.constant_first ? in.begin() : in.end(), &constant);
    shapes.insert(combine.constant_first ? shapes.begin() : shapes.end(), combine.constant_shape);
  }
  std::vector<double> values;
  for (std::int64_t y = 0; y < out.h; ++y) {
    for (std::int64_t x = 0; x < out.w; ++x) {
      for (std::int64_t c = 0; c < out.c; ++c) {
        const auto operand = [&](std::size_t i) {
          const Shape& s = shapes.at(i);
          const std::int64_t at = ((s.h == 1 ? 0 : y) * s.w + (s.w == 1 ? 0 : x)) * s.c + (s.c == 1 ? 0 : c);
          return in.at(i)->at(static_cast<std::size_t>(at));
        };
        values.push_back(real_combined(combine.kind, operand(0), operand(1)));
      }
    }
  }
  return values;
}

/// A table of real numbers, NHWC.
inline std::vector<double> real_function(const ScalarFunction& function, const ChannelValues& parameters,
                                         std::int64_t channels, std::vector<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t c = i % static_cast<std::size_t>(channels);
    values[i] = parameters.empty() ? function(values[i]) : function.of_channel(parameters, c)(values[i]);
  }
  return values;
}

inline FloatLayer& layer_of(Node& node) {
  return std::get<FloatLayer>(node.what);
}
inline const FloatLayer& layer_of(const Node& node) {
  return std::get<FloatLayer>(node.what);
}
inline FloatBatchNorm& batch_norm_of(Node& node) {
  return std::get<FloatBatchNorm>(node.what);
}
inline const FloatBatchNorm& batch_norm_of(const Node& node) {
  return std::get<FloatBatchNorm>(node.what);
}
inline const FloatWindow& window_of(const Node& node) {
  return std::get<FloatWindow>(node.what);
}
inline const IntWindow& window_of(const IntNode& node) {
  return std::get<IntWindow>(node.what);
}
inline const IntTable& table_of(const IntNode& node) {
  return std::get<IntTable>(node.what);
}
inline const IntCombine& combine_of(const IntNode& node) {
  return std::get<IntCombine>(node.what);
}

}  // namespace qnudge::test
