// SPDX-License-Identifier: MIT
#pragma once

#include <limits>
#include <optional>
#include <vector>

namespace qnudge {

/// A function of one real number x as a postfix program: each step takes its operands off a stack and pushes its
/// result; what stands there at the end is the value.
struct ScalarFunction {
  enum class Code {
    x,         ///< pushes the argument
    constant,  ///< pushes `values`
    max,
    min,
    sigmoid,  ///< 1 / (1 + exp(-x))
  };
  struct Step {
    Code code = Code::x;
    std::vector<float> values;  ///< constant: one, or one per channel
    friend bool operator==(const Step&, const Step&) = default;
  };
  std::vector<Step> steps;  ///< none: the identity
  friend bool operator==(const ScalarFunction&, const ScalarFunction&) = default;
};

/// Real numbers from `low` to `high`.
struct Interval {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
  friend bool operator==(const Interval&, const Interval&) = default;
};

/// min(max(x, low), high), without the side that is infinite: Relu is bounded_by({0, inf}).
ScalarFunction bounded_by(const Interval& interval);
ScalarFunction sigmoid_function();

/// The interval of a function that is `bounded_by` one, the same for all channels; nothing for any other function.
std::optional<Interval> bounds_of(const ScalarFunction& function);

}  // namespace qnudge
