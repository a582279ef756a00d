// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <sstream>

#include "host/quant/onnx_geometry.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_sink.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

/// What the main node says of itself, and back.
std::string describe(const FloatProduct& product) {
  return fmt::format("product {} {} {}", product.batch, product.b_rows ? 1 : 0,
                     std::bit_cast<std::uint32_t>(product.scale));
}

bool parse(const std::string& text, FloatProduct& product) {
  if (!text.starts_with("product ")) return false;
  std::istringstream words(text.substr(8));
  std::uint32_t scale = 0;
  words >> product.batch >> product.b_rows >> scale;
  product.scale = std::bit_cast<float>(scale);
  require(!words.fail() && std::isfinite(product.scale), ErrorKind::input, "it does not say what it multiplies");
  return true;
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const FloatProduct& what = std::get<IntProduct>(node.what).product;
  QdqSink sink(to, node, describe(what));
  const auto form = [&](int j) { return sink.form(to.network().at(j).shape); };
  const std::string a = to.read(node.inputs[0], i, false), b = to.read(node.inputs[1], i, false);
  write_product(sink, what, form(node.inputs[0]), form(node.inputs[1]), form(i), a, b);
  to.publish(i, to.out().result(), QdqWriter::Result::bounded);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  FloatProduct what;
  if (!parse(from.doc_string(), what)) return false;
  IntNode added = reader.make(from, IntProduct{.product = what}, {reader.reading(from, 0), reader.reading(from, 1)});
  const auto shape = product_shape(what, added.shape, reader.node(added.inputs[1]).shape);
  require(shape.has_value(), ErrorKind::input, "the shapes of its inputs do not fit");
  added.shape = *shape;
  check_shape(added.shape);
  reader.append(from, std::move(added));
  return true;
}

}  // namespace

const QdqFacet qdq_facets::product = {.write = write, .read = read};

}  // namespace qnudge
