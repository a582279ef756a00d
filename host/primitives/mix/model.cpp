// SPDX-License-Identifier: MIT
#include <span>
#include <vector>

#include "host/model/float_sink.hpp"
#include "host/model/primitives.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const FloatMix& mix_of(const Node& node) {
  return std::get<FloatMix>(node.what);
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const auto axes = mix_axes(mix_of(node), inputs[0]);
  require(axes.has_value(), ErrorKind::internal, "node '{}': scales {} and {} fit no tensor", node.name,
          mix_of(node).scale_h, mix_of(node).scale_w);
  return {axes->rows.out, axes->columns.out, inputs[0].c};
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const FloatMix& mix = mix_of(node);
  const std::int64_t coordinates[] = {static_cast<std::int64_t>(mix.coordinates)};
  const float scales[] = {mix.scale_h, mix.scale_w};
  hash.add_values(std::span<const std::int64_t>(coordinates));
  hash.add_values(std::span<const float>(scales));
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  FloatSink sink(to, node);
  write_mix(sink, mix_of(node), sink.form(0), node.shape, out.input(0));
  to.become_last(out);
}

}  // namespace

int opset_of(const FloatMix& what) {
  return what.coordinates == ResizeCoordinates::half_pixel_symmetric ? kOpsetOfSymmetricResize : 0;
}

std::optional<MixAxes> mix_axes(const FloatMix& what, const Shape& in) {
  const auto axis = [&](std::int64_t extent, float scale) {
    return ResizeAxis{what.coordinates, extent, ResizeAxis::resized(extent, scale), scale};
  };
  for (const float scale : {what.scale_h, what.scale_w}) {
    if (!(scale > 0 && scale < kMostResize)) return std::nullopt;
  }
  const MixAxes axes{axis(in.h, what.scale_h), axis(in.w, what.scale_w)};
  if (axes.rows.out < 1 || axes.columns.out < 1) return std::nullopt;
  return axes;
}

void write_mix(OnnxSink& to, const FloatMix& what, const OnnxForm& in, const Shape& out, const std::string& x) {
  const std::string image = in.flat ? to.reshape(x, OnnxForm{in.shape, in.line}.dims()) : x;
  std::vector<float> scales{1, 1, what.scale_h};
  if (!in.line) scales.push_back(what.scale_w);
  const auto rank = static_cast<std::int64_t>(scales.size());
  onnx::NodeProto& resize = to.node("Resize", {image, "", to.floats("scales", {rank}, scales)}, OnnxSink::Part::main);
  set_text(resize, "mode", "linear");
  set_text(resize, "coordinate_transformation_mode", name_of(what.coordinates));
  if (in.flat) to.reshape(resize.output(0), OnnxForm{out, in.line, true}.dims());
}

const ModelFacet model_facets::mix = {.kind = [](const Node&) -> std::string_view { return "resize"; },
                                      .shape = shape,
                                      .fingerprint = fingerprint,
                                      .write = write,
                                      .opset = [](const Node& node) { return opset_of(mix_of(node)); }};

}  // namespace qnudge
