// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <bit>
#include <sstream>

#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_sink.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const FloatMix& mix_of(const IntNode& node) {
  return std::get<IntMix>(node.what).mix;
}

/// What the main node says of itself, and back.
std::string describe(const FloatMix& mix) {
  return fmt::format("resize {} {} {}", name_of(mix.coordinates), std::bit_cast<std::uint32_t>(mix.scale_h),
                     std::bit_cast<std::uint32_t>(mix.scale_w));
}

bool parse(const std::string& text, FloatMix& mix) {
  if (!text.starts_with("resize ")) return false;
  std::istringstream words(text.substr(7));
  std::string coordinates;
  std::uint32_t scale_h = 0, scale_w = 0;
  words >> coordinates >> scale_h >> scale_w;
  const auto known = resize_coordinates(coordinates);
  require(!words.fail() && known.has_value() && *known != ResizeCoordinates::tf_half_pixel_for_nn, ErrorKind::input,
          "it does not say how it resizes");
  mix = {*known, std::bit_cast<float>(scale_h), std::bit_cast<float>(scale_w)};
  return true;
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  QdqSink sink(to, node, describe(mix_of(node)));
  const std::string x = to.read(node.inputs[0], i, false);
  write_mix(sink, mix_of(node), sink.form(to.network().at(node.inputs[0]).shape), node.shape, x);
  to.publish(i, to.out().result(), QdqWriter::Result::given);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  FloatMix what;
  if (!parse(from.doc_string(), what)) return false;
  IntNode added = reader.make(from, IntMix{what}, {reader.reading(from, 0)});
  const auto axes = mix_axes(what, added.shape);
  require(axes.has_value(), ErrorKind::input, "its scales {} and {} do not fit its input", what.scale_h, what.scale_w);
  added.shape = {axes->rows.out, axes->columns.out, added.shape.c};
  reader.append(from, std::move(added));
  return true;
}

}  // namespace

const QdqFacet qdq_facets::mix = {
    .write = write, .read = read, .opset = [](const IntNode& node) { return opset_of(mix_of(node)); }};

}  // namespace qnudge
