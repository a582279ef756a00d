// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>

#include "qnudge/quant/network.hpp"

namespace qnudge {

enum class ExportTarget {
  onnxruntime,  ///< a ReLU as Conv, Q, DQ, Relu, Q with equal scales and int32 biases: integer kernels everywhere
  tensorrt,     ///< Conv, Relu, Q with float biases
};

/// Serialises the network as QDQ ONNX (opset 13): int8 codes, one positive scale per layer or channel
/// (multiplier * s_out / s_x), int32 biases, zero points 0. With half activations only weights and biases are
/// dequantised; every tensor between nodes passes a Cast to half and back. The same network gives the same bytes.
std::string to_qdq_onnx(const IntNetwork& network, ExportTarget target = ExportTarget::onnxruntime);

/// Reads back what `to_qdq_onnx(onnxruntime)` wrote: the same nodes, codes, biases, multipliers and exponents
/// (float weights, gain and shift are gone). Throws Error(kind input) for anything else.
IntNetwork import_qdq_onnx(const std::filesystem::path& path);

/// True if the file is a readable ONNX model with quantised operators, whoever wrote it.
bool is_qdq_onnx(const std::filesystem::path& path);

}  // namespace qnudge
