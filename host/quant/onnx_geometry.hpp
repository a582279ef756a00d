// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "qnudge/quant/network.hpp"

/// Windows and shapes of the nodes that onnx_export.cpp writes; `rank` is that of the window axes, 1 or 2. All throw
/// Error(kind input) for what no network could hold.
namespace qnudge {

void check_shape(const Shape& s);

/// r x s taps with the node's strides, dilations and pads.
Window read_window(const onnx::NodeProto& from, std::size_t rank, std::int64_t r, std::int64_t s);

/// Filter, geometry and output shape of a layer whose input shape and kind are known; `dims`: of its weights in ONNX.
void read_geometry(const onnx::NodeProto& from, const std::vector<std::int64_t>& dims, std::size_t rank, Layer& layer);

}  // namespace qnudge
