// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "float_writer.hpp"
#include "qnudge/model/onnx_sink.hpp"

namespace qnudge {

/// Into a float model: the last node becomes the graph's own.
class FloatSink : public OnnxSink {
 public:
  FloatSink(FloatWriter& to, const Node& node) : to_(to), node_(node) {}
  onnx::NodeProto& node(const char* op, const Names& inputs, Part) override {
    onnx::NodeProto& added = to_.node_before(node_.name + ".step");
    added.set_op_type(op);
    for (const std::string& input : inputs) added.add_input(input);
    return added;
  }
  std::string floats(const char* role, const Dims& dims, std::span<const float> values) override {
    return to_.initializer(node_.name + "." + role, dims, values);
  }
  std::string integers(const char* role, std::span<const std::int64_t> values) override {
    return to_.integers(node_.name + "." + role, values);
  }
  OnnxForm form(std::size_t input) const {
    return {to_.input_shape(node_, input), to_.graph().spatial_rank == 1, to_.flat(node_.inputs[input])};
  }

 private:
  FloatWriter& to_;
  const Node& node_;
};

}  // namespace qnudge
