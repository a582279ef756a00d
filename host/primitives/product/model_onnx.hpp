// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "qnudge/model/onnx_sink.hpp"
#include "qnudge/model/primitives.hpp"

namespace qnudge {

/// Shape of the product of tensors of these shapes; nothing where they do not fit.
std::optional<Shape> product_shape(const FloatProduct& what, const Shape& a, const Shape& b);

/// Writes the product of a and b, a result of the form `out`; the last node is the result.
void write_product(OnnxSink& to, const FloatProduct& what, const OnnxForm& a, const OnnxForm& b, const OnnxForm& out,
                   const std::string& a_value, const std::string& b_value);

}  // namespace qnudge
