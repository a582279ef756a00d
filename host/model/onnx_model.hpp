// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "onnx_tensor.hpp"

namespace qnudge {

/// A parsed model whose names are sound: every tensor is defined once, one input that the output needs, nodes only read
/// what stands before them.
struct OnnxModel {
  onnx::ModelProto proto;
  std::string file;        ///< for messages
  std::int64_t bytes = 0;  ///< of the file and of those beside it that hold its weights
  int opset = 0;           ///< of the default domain, 7 to 22
  const onnx::ValueInfoProto* input = nullptr;
  const onnx::ValueInfoProto* output = nullptr;

  std::vector<std::string> names;                                  ///< per node: printable and unique
  std::vector<bool> live;                                          ///< per node: the output depends on it
  std::unordered_map<std::string_view, std::vector<int>> readers;  ///< per tensor: live nodes, once per input slot
  std::unordered_map<std::string_view, StoredTensor> initializers;

  const onnx::GraphProto& graph() const { return proto.graph(); }
  /// Readers of a tensor, the model's output included.
  std::size_t reader_count(std::string_view tensor) const;
  /// "conv1 (Conv)" with quotes, for messages.
  std::string describe(int node) const;
};

/// How a network with this operator was quantised: "QDQ", "dynamic" or "QOperator"; empty: no operator of quantised
/// ones.
std::string_view quantisation_of(std::string_view op);

/// Parses and checks all that does not depend on single operators. `output` picks one of several; empty: the model must
/// have one. Throws Error(kind input).
OnnxModel load_onnx(const std::filesystem::path& path, const std::string& output);

}  // namespace qnudge
