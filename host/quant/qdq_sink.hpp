// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "onnx_layer.hpp"
#include "qdq_writer.hpp"
#include "qnudge/model/onnx_sink.hpp"

namespace qnudge {

/// Into a QDQ model: the main node has the name of the network's node and says `description`.
class QdqSink : public OnnxSink {
 public:
  QdqSink(QdqWriter& to, const IntNode& node, std::string description)
      : to_(to), node_(node), description_(std::move(description)) {}
  onnx::NodeProto& node(const char* op, const Names& inputs, Part part) override {
    onnx::NodeProto& added = part == Part::main ? to_.out().reserved_node(op, node_.name, inputs)
                                                : to_.out().node(op, node_.name + "/step", inputs);
    added.set_doc_string(part == Part::main    ? description_
                         : part == Part::gain  ? "gain of " + node_.name
                         : part == Part::shift ? "shift of " + node_.name
                                               : step_of(node_.name));
    return added;
  }
  std::string floats(const char* role, const Dims& dims, std::span<const float> values) override {
    return to_.out().constant<float>(node_.name + "/" + role, dims, values);
  }
  std::string integers(const char* role, std::span<const std::int64_t> values) override {
    return to_.out().constant<std::int64_t>(node_.name + "/" + role, {static_cast<std::int64_t>(values.size())},
                                            values);
  }
  OnnxForm form(const Shape& shape) const { return {shape, to_.network().spatial_rank == 1}; }

 private:
  QdqWriter& to_;
  const IntNode& node_;
  const std::string description_;
};

}  // namespace qnudge
