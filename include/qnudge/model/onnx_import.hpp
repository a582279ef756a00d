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
  std::string help;                ///< what would help, empty where nothing is known to
  std::vector<std::string> feeds;  ///< names of the nodes that read it
};

/// What the network's results are for.
enum class Results {
  exact,   ///< their values count
  ranked,  ///< only the order of the classes: a final Softmax, LogSoftmax, Sigmoid or ArgMax is left out (see Ends)
};

struct ImportOptions {
  /// Spatial extent for inputs whose height, width or length is symbolic; 0: such models are refused.
  std::int64_t height = 0, width = 0;
  const char *height_key = "input_height", *width_key = "input_width";  ///< how messages call them
  /// The output that counts; empty: the only one.
  std::string output;
  Results results = Results::exact;
};

/// Reads a float ONNX model (opset 7 to 22, weights in the file or beside it; one input of rank 2 to 4 that the output
/// depends on). What only concerns shapes and constants is evaluated at import and leaves no node.
/// Throws Error(kind input): unreadable, truncated or hostile file, bad sizes, cycles, missing tensors, wrong types,
/// NaN or infinite weights, a model that is already quantised, or an unsupported node, which is named with what it
/// feeds (all of them in one sentence).
Graph import_onnx(const std::filesystem::path& path, const ImportOptions& options = {});

/// What a model is made of, without its weights: they are read and checked, but not kept.
struct Examination {
  struct Operator {
    std::string type;
    int nodes = 0, unsupported = 0;  ///< that the output depends on; of them refused
  };
  std::vector<Operator> operators;  ///< by falling number
  std::vector<Unsupported> unsupported;
  Graph graph;  ///< layers hold no weights; empty if anything is unsupported
};
/// Throws as `import_onnx` does, but for unsupported nodes.
Examination examine_onnx(const std::filesystem::path& path, const ImportOptions& options = {});

enum class OnnxKind {
  plain,      ///< neither of the others; what import_onnx is for
  tuned,      ///< written by qnudge as integers
  quantised,  ///< by something else
};
/// Reads no weights. `plain` also for files that are no ONNX model: the import says why.
OnnxKind onnx_kind(const std::filesystem::path& path);

/// Writes the float graph back as ONNX (opset 13), so that import after export gives the same graph.
void export_float_onnx(const Graph& graph, const std::filesystem::path& path);

}  // namespace qnudge
