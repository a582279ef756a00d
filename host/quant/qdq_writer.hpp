// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "onnx_writer.hpp"
#include "qnudge/quant/onnx_export.hpp"

namespace qnudge {

/// Writes an integer network as QDQ ONNX; what each node becomes stands in the rooms of the primitives.
class QdqWriter {
 public:
  QdqWriter(const IntNetwork& network, ExportTarget target);
  std::string run();

  const IntNetwork& network() const { return net_; }
  OnnxWriter& out() { return out_; }
  bool for_onnxruntime() const { return target_ == ExportTarget::onnxruntime; }
  bool is_float_output(int i) const { return i == net_.output && net_.float_output(); }
  /// How often node `i` is read; being the network's output counts unless that is float.
  std::size_t readers(int i) const { return readers_[static_cast<std::size_t>(i)]; }

  /// Whether ONNX sees a matrix [N, features] of node `i`.
  bool flat(int i) const { return flat_[static_cast<std::size_t>(i)]; }
  void set_flat(int i, bool flat) { flat_[static_cast<std::size_t>(i)] = flat; }
  /// Flat if any input is.
  void carry_flat(int i);

  /// One entry per window axis: height and width, or length alone.
  OnnxWriter::Dims axes(std::int64_t h, std::int64_t w) const;
  /// kernel_shape, pads and strides.
  void write_window(onnx::NodeProto& node, const Window& w) const;
  OnnxWriter::Dims dims_of(int i) const;

  /// One value per channel of node `i`, so that it broadcasts over its output as ONNX sees it.
  template <class T>
  std::string channel_constant(int i, const std::string& name, std::span<const T> values);
  /// A tensor of the given shape, NHWC, for node `i`.
  template <class T>
  std::string tensor_constant(int i, const std::string& name, const Shape& shape, std::span<const T> values);

  /// The next unused dequantised tensor of node `from`, as a matrix or as an image, whichever `reader` wants.
  std::string read(int from, int reader, bool want_flat);
  /// What comes before a pair of QuantizeLinear and DequantizeLinear.
  enum class Result {
    given,    ///< the input, a bound written by `bound`, or of a node that ONNX Runtime runs in float
    kernel,   ///< of a node that ONNX Runtime has an integer kernel for
    bounded,  ///< the same, and the node's bounds are still to come
  };
  /// Gives node `i`, whose float value is `value`, a dequantised tensor for each reader.
  void publish(int i, std::string value, Result result);
  /// Relu, or Clip at the values of the node's bounds [low, high]: the node itself (`own_node`) or a part of it.
  onnx::NodeProto& bound(const IntNode& node, int low, int high, const std::string& name, const std::string& value,
                         bool own_node);
  /// The latest tensor is the network's output.
  void name_output(int i);

 private:
  /// For ONNX Runtime's integer kernels, which half activations have no use for.
  bool for_integers() const { return for_onnxruntime() && !net_.half(); }
  std::string through_half(const std::string& owner, int exponent, const std::string& value);
  std::string quantise(const std::string& owner, int exponent, const std::string& value, int axis);
  std::string own_bound(const IntNode& node, int low, int high, const std::string& value);
  bool has_bounds(const IntNode& node) const;

  const IntNetwork& net_;
  ExportTarget target_;
  OnnxWriter out_;
  std::vector<std::size_t> readers_;                ///< [nodes]
  std::vector<std::vector<std::string>> readings_;  ///< [nodes] dequantised tensors that are still to be read
  std::vector<bool> flat_;                          ///< [nodes]
};

template <class T>
std::string QdqWriter::channel_constant(int i, const std::string& name, std::span<const T> values) {
  const Shape& shape = net_.at(i).shape;
  const bool spread = flat(i);  // over the pixels that a flattened tensor has in one row
  std::vector<T> all;
  for (const T value : values) all.insert(all.end(), static_cast<std::size_t>(spread ? shape.h * shape.w : 1), value);
  OnnxWriter::Dims dims{static_cast<std::int64_t>(all.size())};
  if (!spread) dims.resize(1 + static_cast<std::size_t>(net_.spatial_rank), 1);
  return out_.constant<T>(name, dims, all);
}

template <class T>
std::string QdqWriter::tensor_constant(int i, const std::string& name, const Shape& shape, std::span<const T> values) {
  std::vector<T> chw;
  for (std::int64_t c = 0; c < shape.c; ++c) {
    for (std::int64_t p = 0; p < shape.h * shape.w; ++p) {
      chw.push_back(values[static_cast<std::size_t>(p * shape.c + c)]);
    }
  }
  OnnxWriter::Dims dims{shape.size()};
  if (!flat(i)) {
    dims = axes(shape.h, shape.w);
    dims.insert(dims.begin(), shape.c);
  }
  return out_.constant<T>(name, dims, chw);
}

}  // namespace qnudge
