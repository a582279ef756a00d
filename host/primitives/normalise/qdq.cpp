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

/// What the main node says of itself, and back.
std::string describe(const FloatNormalise& n) {
  return fmt::format("normalise {} {} {} {}", static_cast<int>(n.kind), n.area ? 1 : 0, n.channels,
                     std::bit_cast<std::uint32_t>(n.epsilon));
}

bool parse(const std::string& text, FloatNormalise& n) {
  if (!text.starts_with("normalise ")) return false;
  std::istringstream words(text.substr(10));
  std::uint32_t kind = 0, epsilon = 0;
  words >> kind >> n.area >> n.channels >> epsilon;
  require(!words.fail() && kind <= static_cast<std::uint32_t>(NormaliseKind::root_mean_square) && n.channels > 0,
          ErrorKind::input, "it does not say what it normalises");
  n.kind = static_cast<NormaliseKind>(kind);
  n.epsilon = std::bit_cast<float>(epsilon);
  return true;
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const FloatNormalise& what = std::get<IntNormalise>(node.what).normalise;
  QdqSink sink(to, node, describe(what));
  write_normalise(sink, what, sink.form(node.shape), to.read(node.inputs[0], i, false));
  to.publish(i, to.out().result(), QdqWriter::Result::bounded);
}

/// One value per channel of the node.
std::vector<float> per_channel(QdqReader& reader, const std::string& tensor, const Shape& shape) {
  std::vector<float> values = reader.constants().take<float>(tensor);
  require(static_cast<std::int64_t>(values.size()) == shape.c, ErrorKind::input, "it has {} values for {} channels",
          values.size(), shape.c);
  return values;
}

void read_main(QdqReader& reader, const onnx::NodeProto& from, FloatNormalise what) {
  IntNode added = reader.make(from, {}, {reader.reading(from, 0)});
  const Shape& shape = added.shape;
  require(shape.c % what.channels == 0 && (what.area || what.channels == shape.c) &&
              what.channels * (what.area ? shape.h * shape.w : 1) <= (std::int64_t{1} << 22),
          ErrorKind::input, "its groups do not fit its input");
  if (needs_layer_normalization(what)) {
    what.gain = per_channel(reader, reader.input(from, 1), shape);
    what.shift = per_channel(reader, reader.input(from, 2), shape);
  } else if (what.kind != NormaliseKind::softmax) {  // to be said later
    what.gain.assign(static_cast<std::size_t>(shape.c), 1.0f);
    what.shift.assign(static_cast<std::size_t>(shape.c), 0.0f);
  }
  added.what = IntNormalise{.normalise = std::move(what)};
  reader.append(from, std::move(added));
}

/// A Mul or Add behind the main node.
void read_affine(QdqReader& reader, const onnx::NodeProto& from, bool gain) {
  const auto read = reader.value(reader.input(from, 0));
  IntNode& node = reader.node(read.node);
  auto* const normalise = std::get_if<IntNormalise>(&node.what);
  require(read.kind == QdqReader::Value::real && normalise != nullptr, ErrorKind::input,
          "it belongs to no normalisation");
  std::vector<float> values = per_channel(reader, reader.input(from, 1), node.shape);
  (gain ? normalise->normalise.gain : normalise->normalise.shift) = std::move(values);
  reader.set_value(from.output(0), read);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const bool gain = from.doc_string().starts_with("gain of ");
  FloatNormalise what;
  if (gain || from.doc_string().starts_with("shift of ")) {
    read_affine(reader, from, gain);
  } else if (parse(from.doc_string(), what)) {
    read_main(reader, from, std::move(what));
  } else {
    return false;
  }
  return true;
}

int opset(const IntNode& node) {
  const bool late = needs_layer_normalization(std::get<IntNormalise>(node.what).normalise);
  return late ? kOpsetOfLayerNormalization : 0;
}

}  // namespace

const QdqFacet qdq_facets::normalise = {.write = write, .read = read, .opset = opset};

}  // namespace qnudge
