// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/model/scalar_function.hpp"

/// The functions that operators name.
namespace qnudge {

/// min(max(x, low), high), without a side that is infinite.
ScalarFunction clip_function(double low, double high);
ScalarFunction relu_function();
ScalarFunction sigmoid_function();

/// The ONNX operator of a step; nullptr for x, constants and parameters.
const char* onnx_operator(ScalarFunction::Op op);

}  // namespace qnudge
