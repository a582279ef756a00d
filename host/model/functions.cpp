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

const char* onnx_operator(Op op) {
  switch (op) {
    case Op::add:
      return "Add";
    case Op::subtract:
      return "Sub";
    case Op::multiply:
      return "Mul";
    case Op::divide:
      return "Div";
    case Op::minimum:
      return "Min";
    case Op::maximum:
      return "Max";
    case Op::power:
      return "Pow";
    case Op::negate:
      return "Neg";
    case Op::absolute:
      return "Abs";
    case Op::exponential:
      return "Exp";
    case Op::logarithm:
      return "Log";
    case Op::square_root:
      return "Sqrt";
    case Op::error_function:
      return "Erf";
    case Op::hyperbolic_tangent:
      return "Tanh";
    case Op::sigmoid:
      return "Sigmoid";
    case Op::floor:
      return "Floor";
    case Op::ceil:
      return "Ceil";
    case Op::round:
      return "Round";
    case Op::x:
    case Op::constant:
    case Op::parameter:
      break;
  }
  return nullptr;
}

}  // namespace qnudge
