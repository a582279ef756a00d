// SPDX-License-Identifier: MIT
#include <algorithm>

#include "host/model/fingerprint.hpp"
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Dims = FloatWriter::Dims;

const FloatLayer& layer_of(const Node& node) {
  return std::get<FloatLayer>(node.what);
}

const FloatBatchNorm& batch_norm_of(const Node& node) {
  return std::get<FloatBatchNorm>(node.what);
}

std::string_view layer_kind(const Node& node) {
  return layer_of(node).gemm ? "gemm" : "conv";
}

Shape layer_shape(const Node& node, std::span<const Shape> inputs) {
  const FloatLayer& layer = layer_of(node);
  const ConvGeometry& g = layer.conv;
  if (layer.gemm) return {1, 1, layer.filter.k};
  return slide(inputs[0], g.window, layer.filter.k, g.spread_h, g.spread_w);
}

void hash_layer(const Node& node, Fingerprint& hash) {
  const FloatLayer& layer = layer_of(node);
  const ConvGeometry& g = layer.conv;
  const FilterShape& f = layer.filter;
  add_window(hash, g.window);
  const std::int64_t rest[] = {g.groups, g.spread_h, g.spread_w, g.transposed, f.k, f.r, f.s, f.c, layer.gemm};
  hash.add_values(std::span<const std::int64_t>(rest));
  hash.add_values(std::span<const float>(layer.weights));
  hash.add_values(std::span<const float>(layer.bias));
}

/// [K, C, R, S]; of a matrix product that is [K, features] in the order of C, H, W.
std::vector<float> to_kcrs(const FloatLayer& layer) {
  const FilterShape& f = layer.filter;
  std::vector<float> weights;
  weights.reserve(layer.weights.size());
  for (std::int64_t k = 0; k < f.k; ++k) {
    for (std::int64_t c = 0; c < f.c; ++c) {
      for (std::int64_t rs = 0; rs < f.r * f.s; ++rs) {
        weights.push_back(layer.weights[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c)]);
      }
    }
  }
  return weights;
}

void write_conv(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatLayer& layer = layer_of(node);
  const FilterShape& f = layer.filter;
  const Window& w = layer.conv.window;
  Dims dims{f.k, f.c};
  const Dims window = to.per_axis(f.r, f.s);
  dims.insert(dims.end(), window.begin(), window.end());
  out.set_op_type("Conv");
  out.add_input(to.initializer(node.name + ".weight", dims, to_kcrs(layer)));
  out.add_input(to.initializer(node.name + ".bias", {f.k}, layer.bias));
  set_integers(out, "dilations", to.per_axis(w.dilation_h, w.dilation_w));
  set_integer(out, "group", layer.conv.groups);
  set_integers(out, "kernel_shape", window);
  set_integers(out, "pads", to.pads(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right));
  set_integers(out, "strides", to.per_axis(w.stride_h, w.stride_w));
}

/// [C, K / groups, R, S]: undoes the flip of the import.
std::vector<float> to_ckrs(const FloatLayer& layer) {
  const FilterShape& f = layer.filter;
  const std::int64_t group_k = f.k / layer.conv.groups;
  std::vector<float> weights;
  weights.reserve(layer.weights.size());
  for (std::int64_t c = 0; c < f.c * layer.conv.groups; ++c) {
    for (std::int64_t kk = 0; kk < group_k; ++kk) {
      const std::int64_t k = c / f.c * group_k + kk;
      for (std::int64_t rs = f.r * f.s - 1; rs >= 0; --rs) {
        weights.push_back(layer.weights[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c % f.c)]);
      }
    }
  }
  return weights;
}

/// Padding behind the image that exceeds the window's reach is output padding.
void write_conv_transpose(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatLayer& layer = layer_of(node);
  const FilterShape& f = layer.filter;
  const Window& w = layer.conv.window;
  Dims dims{f.c * layer.conv.groups, f.k / layer.conv.groups};
  const Dims window = to.per_axis(f.r, f.s);
  dims.insert(dims.end(), window.begin(), window.end());
  const std::int64_t reach_h = w.dilation_h * (f.r - 1), reach_w = w.dilation_w * (f.s - 1);
  const std::int64_t bottom = reach_h - w.pad_bottom, right = reach_w - w.pad_right;
  const auto positive = [](std::int64_t value) { return std::max<std::int64_t>(value, 0); };
  out.set_op_type("ConvTranspose");
  out.add_input(to.initializer(node.name + ".weight", dims, to_ckrs(layer)));
  out.add_input(to.initializer(node.name + ".bias", {f.k}, layer.bias));
  set_integers(out, "dilations", to.per_axis(w.dilation_h, w.dilation_w));
  set_integer(out, "group", layer.conv.groups);
  set_integers(out, "kernel_shape", window);
  set_integers(out, "output_padding", to.per_axis(positive(-bottom), positive(-right)));
  set_integers(out, "pads", to.pads(reach_h - w.pad_top, reach_w - w.pad_left, positive(bottom), positive(right)));
  set_integers(out, "strides", to.per_axis(layer.conv.spread_h, layer.conv.spread_w));
}

void write_gemm(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  require(to.flat(node.inputs[0]), ErrorKind::internal, "the gemm '{}' reads something that is not flattened",
          node.name);
  const FloatLayer& layer = layer_of(node);
  const FilterShape& f = layer.filter;
  out.set_op_type("Gemm");
  out.add_input(to.initializer(node.name + ".weight", {f.k, f.taps()}, to_kcrs(layer)));
  out.add_input(to.initializer(node.name + ".bias", {f.k}, layer.bias));
  set_integer(out, "transB", 1);
}

void write_layer(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatLayer& layer = layer_of(node);
  if (layer.gemm) return write_gemm(node, to, out);
  if (layer.conv.transposed) return write_conv_transpose(node, to, out);
  write_conv(node, to, out);
}

void hash_batch_norm(const Node& node, Fingerprint& hash) {
  hash.add_values(std::span<const float>(batch_norm_of(node).scale));
  hash.add_values(std::span<const float>(batch_norm_of(node).shift));
}

/// Mean 0, variance 1 and epsilon 0 make scale and shift survive bit by bit.
void write_batch_norm(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatBatchNorm& norm = batch_norm_of(node);
  const Dims dims{node.shape.c};
  const std::vector<float> zeros(norm.scale.size(), 0.0f), ones(norm.scale.size(), 1.0f);
  out.set_op_type("BatchNormalization");
  out.add_input(to.initializer(node.name + ".scale", dims, norm.scale));
  out.add_input(to.initializer(node.name + ".shift", dims, norm.shift));
  out.add_input(to.initializer(node.name + ".mean", dims, zeros));
  out.add_input(to.initializer(node.name + ".variance", dims, ones));
  set_real(out, "epsilon", 0);
}

}  // namespace

const ModelFacet model_facets::layer = {.kind = layer_kind,
                                        .shape = layer_shape,
                                        .fingerprint = hash_layer,
                                        .write = write_layer,
                                        .flattens = [](const Node& node) { return layer_of(node).gemm; }};

const ModelFacet model_facets::batch_norm = {
    .kind = [](const Node&) -> std::string_view { return "batch_norm"; },
    .shape = [](const Node&, std::span<const Shape> inputs) { return inputs[0]; },
    .fingerprint = hash_batch_norm,
    .write = write_batch_norm};

}  // namespace qnudge
