// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/shape.hpp"

namespace qnudge {

/// Where a primitive that ONNX spells by several nodes writes them, whatever file they are for.
class OnnxSink {
 public:
  using Names = std::vector<std::string>;
  using Dims = std::vector<std::int64_t>;
  /// What a node is among those of its primitive.
  enum class Part {
    step,
    main,  ///< the one that stands for all
    gain,  ///< multiplies by a constant per channel
    shift  ///< adds one
  };

  virtual ~OnnxSink() = default;
  /// The next node; output(0) is its result.
  virtual onnx::NodeProto& node(const char* op, const Names& inputs, Part part = Part::step) = 0;
  virtual std::string floats(const char* role, const Dims& dims, std::span<const float> values) = 0;
  virtual std::string integers(const char* role, std::span<const std::int64_t> values) = 0;

  std::string reshape(const std::string& x, const Dims& dims) {
    return node("Reshape", {x, integers("extents", dims)}).output(0);
  }
  std::string transpose(const std::string& x, const Dims& order) {
    onnx::NodeProto& made = node("Transpose", {x});
    onnx::AttributeProto& perm = *made.add_attribute();
    perm.set_name("perm");
    perm.set_type(onnx::AttributeProto::INTS);
    perm.mutable_ints()->Add(order.begin(), order.end());
    return made.output(0);
  }
};

/// How ONNX sees a node's tensor.
struct OnnxForm {
  Shape shape;
  bool line = false;  ///< [N, C, H]
  bool flat = false;  ///< [N, C*H*W]

  OnnxSink::Dims dims() const {
    if (flat) return {-1, shape.size()};
    return line ? OnnxSink::Dims{-1, shape.c, shape.h} : OnnxSink::Dims{-1, shape.c, shape.h, shape.w};
  }
  /// x as [N, ...pixels, C] and back.
  std::string channels_last(OnnxSink& to, std::string x) const {
    if (flat) x = to.reshape(x, OnnxForm{shape, line}.dims());
    return to.transpose(x, line ? OnnxSink::Dims{0, 2, 1} : OnnxSink::Dims{0, 2, 3, 1});
  }
  std::string channels_first(OnnxSink& to, const std::string& x) const {
    const std::string image = to.transpose(x, line ? OnnxSink::Dims{0, 2, 1} : OnnxSink::Dims{0, 3, 1, 2});
    return flat ? to.reshape(image, dims()) : image;
  }
};

}  // namespace qnudge
