// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <string_view>
#include <unordered_map>

#include "onnx_tensor.hpp"

namespace qnudge {

/// Replaces what exporters spell by several operators by the one that it is: a node becomes LayerNormalization or
/// RMSNormalization with the attributes `axes` (none: all behind the channels) and `epsilon` and without gains, and the
/// nodes before it die. Changes nothing where it is not sure.
using Initializers = std::unordered_map<std::string_view, StoredTensor>;
void fuse_patterns(onnx::GraphProto& graph, const Initializers& constants);

}  // namespace qnudge
