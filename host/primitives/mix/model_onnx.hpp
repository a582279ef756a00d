// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "qnudge/model/onnx_sink.hpp"
#include "qnudge/model/primitives.hpp"

namespace qnudge {

/// half_pixel_symmetric came with this opset.
constexpr int kOpsetOfSymmetricResize = 19;
int opset_of(const FloatMix& what);

/// The axes along height and width of the interpolation of a tensor of that shape.
struct MixAxes {
  ResizeAxis rows, columns;
};
/// Nothing where a scale or an extent is out of range.
std::optional<MixAxes> mix_axes(const FloatMix& what, const Shape& in);

/// Writes the interpolation of x, a tensor of the form `in`, into one of the shape `out`; the last node is the result.
void write_mix(OnnxSink& to, const FloatMix& what, const OnnxForm& in, const Shape& out, const std::string& x);

}  // namespace qnudge
