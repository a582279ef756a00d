// SPDX-License-Identifier: MIT
#include "qnudge/model/scalar_function.hpp"

#include <cmath>

namespace qnudge {

using Code = ScalarFunction::Code;

ScalarFunction bounded_by(const Interval& interval) {
  ScalarFunction function{{{Code::x, {}}}};
  const auto bound = [&](Code code, float value) {
    if (std::isinf(value)) return;
    function.steps.push_back({Code::constant, {value}});
    function.steps.push_back({code, {}});
  };
  bound(Code::max, interval.low);
  bound(Code::min, interval.high);
  return function;
}

ScalarFunction sigmoid_function() {
  return {{{Code::x, {}}, {Code::sigmoid, {}}}};
}

std::optional<Interval> bounds_of(const ScalarFunction& function) {
  Interval interval;
  for (std::size_t i = 1; i + 1 < function.steps.size(); i += 2) {
    const auto &constant = function.steps[i], &bound = function.steps[i + 1];
    if (constant.code != Code::constant || constant.values.size() != 1) return std::nullopt;
    (bound.code == Code::max ? interval.low : interval.high) = constant.values[0];
  }
  return bounded_by(interval) == function ? std::optional(interval) : std::nullopt;
}

}  // namespace qnudge
