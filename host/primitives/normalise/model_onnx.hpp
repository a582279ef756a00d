// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/model/onnx_sink.hpp"
#include "qnudge/model/primitives.hpp"

namespace qnudge {

/// Writes x normalised, `form` the form of both; the last node is the result.
void write_normalise(OnnxSink& to, const FloatNormalise& what, const OnnxForm& form, const std::string& x);

/// LayerNormalization came late.
constexpr int kOpsetOfLayerNormalization = 17;
inline bool needs_layer_normalization(const FloatNormalise& what) {
  return what.kind == NormaliseKind::standard && !what.area;
}

}  // namespace qnudge
