// SPDX-License-Identifier: MIT
#include "qnudge/model/functions.hpp"

#include <cmath>
#include <limits>

namespace qnudge {

using Op = ScalarFunction::Op;

ScalarFunction clip_function(double low, double high) {
  ScalarFunction f;
  if (!std::isinf(low)) f = ScalarFunction::of(Op::maximum, f, ScalarFunction::constant(low));
  if (!std::isinf(high)) f = ScalarFunction::of(Op::minimum, f, ScalarFunction::constant(high));
  return f;
}

ScalarFunction relu_function() {
  return clip_function(0, std::numeric_limits<double>::infinity());
}

ScalarFunction sigmoid_function() {
  return ScalarFunction::of(Op::sigmoid, {});
}

}  // namespace qnudge
