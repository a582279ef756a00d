// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Something of the model that qnudge cannot take.
struct Unsupported {
  std::string node, op_type, reason;
  std::vector<std::string> feeds;  ///< names of the nodes that read it
};

struct ImportOptions {
  /// Spatial extent for inputs whose height, width or length is symbolic; 0: such models are refused.
  std::int64_t height = 0, width = 0;
  const char *height_key = "input_height", *width_key = "input_width";  ///< how messages call them
};

/// Reads a float ONNX model (opset 11 to 21, operators of the design's section 7, one input, one output, 1-D or 2-D).
/// Throws Error(kind input): unreadable, truncated or hostile file, bad sizes, cycles, missing tensors, wrong types,
/// NaN or infinite weights, or an unsupported node, which is named with what it feeds (all of them in one sentence).
Graph import_onnx(const std::filesystem::path& path, const ImportOptions& options = {});

/// Every unsupported node of a readable model; empty if `import_onnx` would accept its operators.
std::vector<Unsupported> unsupported_nodes(const std::filesystem::path& path);

/// Writes the float graph back as ONNX (opset 13), so that import after export gives the same graph.
void export_float_onnx(const Graph& graph, const std::filesystem::path& path);

}  // namespace qnudge
