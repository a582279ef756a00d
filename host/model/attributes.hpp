// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace qnudge {

/// Typed, strict access to the attributes of one node. Every reader throws Refusal (malformed) for a wrong type;
/// `finish` refuses attributes that nobody read, so that none is ever ignored in silence.
class Attributes {
 public:
  /// `node` must outlive this. Refuses attributes that stand twice or refer to a function's parameters.
  explicit Attributes(const onnx::NodeProto& node);

  std::int64_t integer(std::string_view name, std::int64_t fallback);
  float real(std::string_view name, float fallback);
  std::string text(std::string_view name, std::string_view fallback);
  std::optional<std::vector<std::int64_t>> integers(std::string_view name);
  /// The raw attribute, nullptr if absent.
  const onnx::AttributeProto* find(std::string_view name);
  void finish() const;

 private:
  const onnx::AttributeProto* typed(std::string_view name, onnx::AttributeProto::AttributeType type);

  struct Entry {
    const onnx::AttributeProto* attribute = nullptr;
    bool read = false;
  };
  std::unordered_map<std::string_view, Entry> entries_;
};

}  // namespace qnudge
