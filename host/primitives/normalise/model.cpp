// SPDX-License-Identifier: MIT
#include "host/model/float_sink.hpp"
#include "host/model/primitives.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Part = OnnxSink::Part;

constexpr std::int64_t kMostElements = std::int64_t{1} << 22;  // of a group, see kernels/normalise.hpp

const FloatNormalise& normalise_of(const Node& node) {
  return std::get<FloatNormalise>(node.what);
}

std::string_view kind(const Node& node) {
  const FloatNormalise& n = normalise_of(node);
  if (n.kind == NormaliseKind::softmax) return "softmax";
  if (n.kind == NormaliseKind::root_mean_square) return "rms_norm";
  return n.area ? n.channels == 1 ? "instance_norm" : "group_norm" : "layer_norm";
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const FloatNormalise& n = normalise_of(node);
  const Shape& in = inputs[0];
  require(n.channels > 0 && in.c % n.channels == 0 && (n.area || n.channels == in.c), ErrorKind::internal,
          "node '{}': {} of {} channels are no group", node.name, n.channels, in.c);
  require(n.channels * (n.area ? in.h * in.w : 1) <= kMostElements, ErrorKind::input,
          "node '{}': its groups have more than {} elements", node.name, kMostElements);
  const auto per_channel = n.kind == NormaliseKind::softmax ? std::size_t{0} : static_cast<std::size_t>(in.c);
  require(n.gain.size() == per_channel && n.shift.size() == per_channel, ErrorKind::internal,
          "node '{}': its gains or shifts do not fit {} channels", node.name, in.c);
  return in;
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const FloatNormalise& n = normalise_of(node);
  const std::int64_t integers[] = {static_cast<std::int64_t>(n.kind), n.area, n.channels};
  hash.add_values(std::span<const std::int64_t>(integers));
  hash.add_values(std::span(&n.epsilon, 1));
  hash.add_values(std::span<const float>(n.gain));
  hash.add_values(std::span<const float>(n.shift));
}

std::string one(const onnx::NodeProto& node) {
  return node.output(0);
}

/// Rows [N, groups, elements] by their root mean square.
std::string write_root_mean_square(OnnxSink& to, float epsilon, const std::string& rows) {
  const std::string squares = one(to.node("Mul", {rows, rows}));
  const std::string mean = one(to.node("GlobalAveragePool", {squares}, Part::main));
  const std::string above = one(to.node("Add", {mean, to.floats("epsilon", {}, std::span(&epsilon, 1))}));
  return one(to.node("Div", {rows, one(to.node("Sqrt", {above}))}));
}

/// Constants of extents `dims`, which broadcast.
std::string write_affine(OnnxSink& to, const FloatNormalise& what, const std::string& x, const OnnxSink::Dims& dims) {
  const std::string scaled = one(to.node("Mul", {x, to.floats("gain", dims, what.gain)}, Part::gain));
  return one(to.node("Add", {scaled, to.floats("shift", dims, what.shift)}, Part::shift));
}

void write_channels(OnnxSink& to, const FloatNormalise& what, const OnnxForm& form, const std::string& x) {
  const std::int64_t c = form.shape.c;
  const std::string last = form.channels_last(to, x);
  if (what.kind == NormaliseKind::standard) {
    onnx::NodeProto& norm =
        to.node("LayerNormalization", {last, to.floats("gain", {c}, what.gain), to.floats("shift", {c}, what.shift)},
                Part::main);
    set_integer(norm, "axis", -1);
    set_real(norm, "epsilon", what.epsilon);
    form.channels_first(to, norm.output(0));
    return;
  }
  const std::string rows = to.reshape(last, {-1, form.shape.h * form.shape.w, c});
  const std::string y = write_affine(to, what, write_root_mean_square(to, what.epsilon, rows), {c});
  OnnxSink::Dims pixels{-1, form.shape.h};
  if (!form.line) pixels.push_back(form.shape.w);
  pixels.push_back(c);
  form.channels_first(to, to.reshape(y, pixels));
}

void write_area(OnnxSink& to, const FloatNormalise& what, const OnnxForm& form, const std::string& x) {
  const Shape& s = form.shape;
  const std::int64_t groups = s.c / what.channels;
  const OnnxForm image{s, form.line};
  std::string y = to.reshape(x, {-1, groups, what.channels * s.h * s.w});
  if (what.kind == NormaliseKind::softmax) {
    onnx::NodeProto& softmax = to.node("Softmax", {y}, Part::main);
    set_integer(softmax, "axis", 2);
    to.reshape(softmax.output(0), form.dims());
    return;
  }
  if (what.kind == NormaliseKind::standard) {
    const std::vector<float> ones(static_cast<std::size_t>(groups), 1.0f), zeros(ones.size(), 0.0f);
    onnx::NodeProto& norm =
        to.node("InstanceNormalization", {y, to.floats("ones", {groups}, ones), to.floats("zeros", {groups}, zeros)},
                Part::main);
    set_real(norm, "epsilon", what.epsilon);
    y = norm.output(0);
  } else {
    y = write_root_mean_square(to, what.epsilon, y);
  }
  y = to.reshape(y, image.dims());
  OnnxSink::Dims per_channel(image.dims().size() - 1, 1);
  per_channel[0] = s.c;
  y = write_affine(to, what, y, per_channel);
  if (form.flat) to.reshape(y, form.dims());
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  FloatSink sink(to, node);
  write_normalise(sink, normalise_of(node), sink.form(0), out.input(0));
  to.become_last(out);
}

int opset(const Node& node) {
  return needs_layer_normalization(normalise_of(node)) ? kOpsetOfLayerNormalization : 0;
}

}  // namespace

void write_normalise(OnnxSink& to, const FloatNormalise& what, const OnnxForm& form, const std::string& x) {
  if (what.kind == NormaliseKind::softmax && !what.area) {
    const bool matrix = form.flat && form.shape.h * form.shape.w > 1;
    const std::string image = matrix ? to.reshape(x, OnnxForm{form.shape, form.line}.dims()) : x;
    onnx::NodeProto& softmax = to.node("Softmax", {image}, Part::main);
    set_integer(softmax, "axis", 1);
    if (matrix) to.reshape(softmax.output(0), form.dims());
    return;
  }
  if (!what.area) return write_channels(to, what, form, x);
  write_area(to, what, form, x);
}

const ModelFacet model_facets::normalise = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .opset = opset};

}  // namespace qnudge
