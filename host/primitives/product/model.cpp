// SPDX-License-Identifier: MIT
#include <optional>

#include "host/model/float_sink.hpp"
#include "host/model/primitives.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const FloatProduct& product_of(const Node& node) {
  return std::get<FloatProduct>(node.what);
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const auto out = inputs.size() == 2 ? product_shape(product_of(node), inputs[0], inputs[1]) : std::nullopt;
  require(out.has_value(), ErrorKind::internal, "node '{}': its inputs do not fit as matrices", node.name);
  return *out;
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const FloatProduct& product = product_of(node);
  const std::int64_t integers[] = {product.batch, product.b_rows};
  hash.add_values(std::span<const std::int64_t>(integers));
  hash.add_values(std::span(&product.scale, 1));
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  FloatSink sink(to, node);
  const OnnxForm a = sink.form(0);
  write_product(sink, product_of(node), a, sink.form(1), {node.shape, a.line, a.flat}, out.input(0), out.input(1));
  to.become_last(out);
}

/// [N, batch, rows, C] of a tensor.
std::string as_matrices(OnnxSink& to, const OnnxForm& form, std::int64_t batch, const std::string& x) {
  const Shape& s = form.shape;
  return to.reshape(form.channels_last(to, x), {-1, batch, s.h * s.w / batch, s.c});
}

}  // namespace

std::optional<Shape> product_shape(const FloatProduct& what, const Shape& a, const Shape& b) {
  constexpr std::int64_t kMostTerms = std::int64_t{1} << 17;  // see kernels/product.hpp
  const std::int64_t a_pixels = a.h * a.w, b_pixels = b.h * b.w;
  if (what.batch < 1 || a_pixels % what.batch != 0 || b_pixels % what.batch != 0) return std::nullopt;
  const std::int64_t b_own = b_pixels / what.batch;
  if (a.c != (what.b_rows ? b.c : b_own) || a.c > kMostTerms) return std::nullopt;
  return Shape{a.h, a.w, what.b_rows ? b_own : b.c};
}

void write_product(OnnxSink& to, const FloatProduct& what, const OnnxForm& a, const OnnxForm& b, const OnnxForm& out,
                   const std::string& a_value, const std::string& b_value) {
  const std::string left = as_matrices(to, a, what.batch, a_value);
  std::string right = as_matrices(to, b, what.batch, b_value);
  if (what.b_rows) right = to.transpose(right, {0, 1, 3, 2});
  std::string y = to.node("MatMul", {left, right}, OnnxSink::Part::main).output(0);
  if (what.scale != 1) y = to.node("Mul", {y, to.floats("scale", {}, std::span(&what.scale, 1))}).output(0);
  OnnxSink::Dims pixels{-1, out.shape.h};
  if (!out.line) pixels.push_back(out.shape.w);
  pixels.push_back(out.shape.c);
  out.channels_first(to, to.reshape(y, pixels));
}

const ModelFacet model_facets::product = {.kind = [](const Node&) -> std::string_view { return "product"; },
                                          .shape = shape,
                                          .fingerprint = fingerprint,
                                          .write = write};

}  // namespace qnudge
