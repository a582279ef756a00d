// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>
#include <vector>

#include "qnudge/model/element_map.hpp"
#include "qnudge/model/onnx_sink.hpp"

namespace qnudge {

/// Writes a map that is neither a view nor a concatenation along channels: Reshape, Slice, Transpose and Expand where
/// one regular box says it all, else a Gather of single elements. `inputs` and `values` are what it reads.
void write_move(OnnxSink& to, const ElementMap& map, std::span<const OnnxForm> inputs, const OnnxForm& out,
                const std::vector<std::string>& values);

}  // namespace qnudge
