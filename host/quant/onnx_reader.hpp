// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "qnudge/core/error.hpp"

namespace qnudge {

/// Initialisers by name, checked on every access. Large ones can be taken once only, so that a small file cannot ask
/// for much memory.
class OnnxConstants {
 public:
  explicit OnnxConstants(const onnx::GraphProto& graph) {
    for (const onnx::TensorProto& tensor : graph.initializer()) tensors_.emplace(tensor.name(), &tensor);
  }

  bool has(const std::string& name) const { return tensors_.contains(name); }
  std::vector<std::int64_t> dims(const std::string& name) const;

  /// All values of a tensor that nothing else reads.
  template <class T>
  std::vector<T> take(const std::string& name) {
    const onnx::TensorProto& tensor = find(name);
    std::vector<T> values(checked_count(tensor, type_of<T>(), sizeof(T)));
    if (!values.empty()) std::memcpy(values.data(), tensor.raw_data().data(), tensor.raw_data().size());
    tensors_.erase(name);
    return values;
  }

  /// A float scalar; may be shared.
  float scalar(const std::string& name) const;
  /// Exponent of a float scalar that is a power of two.
  int exponent(const std::string& name) const;

 private:
  template <class T>
  static onnx::TensorProto::DataType type_of() {
    if constexpr (std::is_same_v<T, float>) return onnx::TensorProto::FLOAT;
    return sizeof(T) == 1   ? onnx::TensorProto::INT8
           : sizeof(T) == 4 ? onnx::TensorProto::INT32
                            : onnx::TensorProto::INT64;
  }
  const onnx::TensorProto& find(const std::string& name) const;
  static std::size_t checked_count(const onnx::TensorProto& tensor, onnx::TensorProto::DataType type,
                                   std::size_t bytes);

  std::map<std::string, const onnx::TensorProto*> tensors_;
};

/// Attribute values, which must lie in [0, 2^20]; `fallback` for each entry where the attribute is absent.
std::vector<std::int64_t> read_integers(const onnx::NodeProto& node, const char* name, std::size_t count,
                                        std::int64_t fallback);
std::int64_t read_integer(const onnx::NodeProto& node, const char* name, std::int64_t fallback);

}  // namespace qnudge
