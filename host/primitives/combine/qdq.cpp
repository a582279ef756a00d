// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>

#include "host/quant/onnx_geometry.hpp"
#include "host/quant/onnx_layer.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr std::array kKinds = {CombineKind::add,    CombineKind::subtract, CombineKind::multiply,
                               CombineKind::divide, CombineKind::minimum,  CombineKind::maximum};

const IntCombine& combine_of(const IntNode& node) {
  return std::get<IntCombine>(node.what);
}

std::string write_constant(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const IntCombine& combine = combine_of(node);
  OnnxWriter& out = to.out();
  const std::string name = node.name + "/constant";
  if (to.network().half()) {
    std::vector<float> values;
    for (const Half half : combine.halves) values.push_back(std::ldexp(to_float(half), combine.constant_exponent));
    return to.tensor_constant<float>(i, name, combine.constant_shape, values);
  }
  const std::string codes = to.tensor_constant<std::int8_t>(i, name, combine.constant_shape, combine.codes);
  // ONNX Runtime may turn constants into uint8, and their zero point with them: it is not shared.
  const std::int8_t none = 0;
  const std::string zero = out.constant<std::int8_t>(name + "_zero", {}, std::span(&none, 1));
  out.node("DequantizeLinear", name + "/dq", {codes, out.power_of_two(combine.constant_exponent), zero});
  return out.result();
}

/// A matrix where an operand is one, unless another repeats along an axis that a matrix does not have.
void choose_form(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const auto fits = [&](const Shape& shape) { return shape == node.shape || shape.size() == 1; };
  const IntCombine& combine = combine_of(node);
  bool all = combine.constant.empty() || fits(combine.constant_shape);
  for (const int in : node.inputs) all = all && fits(to.network().at(in).shape);
  to.carry_flat(i);
  if (!all && node.shape.h * node.shape.w > 1) to.set_flat(i, false);
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const IntCombine& combine = combine_of(node);
  choose_form(to, i);
  OnnxWriter::Names values;
  for (const int in : node.inputs) values.push_back(to.read(in, i, to.flat(i)));
  if (!combine.constant.empty()) {
    values.insert(combine.constant_first ? values.begin() : values.end(), write_constant(to, i));
  }
  to.out().reserved_node(onnx_operator(combine.kind), node.name, values);
  to.publish(i, to.out().result(), QdqWriter::Result::bounded);
}

/// Shape of a constant beside a tensor of shape `other`; one axis: of a matrix.
Shape constant_shape(const std::vector<std::int64_t>& dims, std::size_t rank, const Shape& other) {
  require(dims.size() == 1 || dims.size() == rank + 1, ErrorKind::input, "its constant has rank {}", dims.size());
  if (dims.size() == 1 && dims[0] == other.size()) return other;
  if (dims.size() == 1) return {1, 1, dims[0]};
  return {dims[1], rank == 2 ? dims[2] : 1, dims[0]};
}

template <class T>
std::vector<float> to_nhwc(const std::vector<T>& chw, const Shape& shape, int exponent) {
  std::vector<float> values;
  for (std::int64_t p = 0; p < shape.h * shape.w; ++p) {
    for (std::int64_t c = 0; c < shape.c; ++c) {
      const T code = chw[static_cast<std::size_t>(c * shape.h * shape.w + p)];
      values.push_back(std::ldexp(static_cast<float>(code), exponent));
    }
  }
  return values;
}

void read_constant(QdqReader& reader, const std::string& tensor, const Shape& other, IntCombine& combine) {
  OnnxConstants& constants = reader.constants();
  if (reader.has_parameter(tensor)) {
    const QdqReader::Constant constant = reader.parameter(tensor);
    const Shape shape = constant_shape(constants.dims(constant.tensor), reader.rank(), other);
    combine.constant_shape = shape;
    combine.constant = to_nhwc(constants.take<std::int8_t>(constant.tensor), shape, constants.exponent(constant.scale));
  } else {
    require(reader.network().half(), ErrorKind::input, "its constant is not dequantised");
    combine.constant_shape = constant_shape(constants.dims(tensor), reader.rank(), other);
    combine.constant = to_nhwc(constants.take<float>(tensor), combine.constant_shape, 0);
    require(std::ranges::all_of(combine.constant,
                                [](float v) { return std::abs(v) <= std::ldexp(127.0f, kExponentLimit); }),
            ErrorKind::input, "its constant is too large");
  }
}

std::int64_t joined(std::int64_t u, std::int64_t v) {
  require(u == v || u == 1 || v == 1, ErrorKind::input, "the shapes of its inputs do not fit");
  return std::max(u, v);
}

void read_combine(QdqReader& reader, const onnx::NodeProto& from, CombineKind kind) {
  require(from.input_size() == 2, ErrorKind::input, "it has {} inputs", from.input_size());
  IntCombine combine{.kind = kind};
  std::vector<int> inputs;
  std::optional<int> constant;
  for (int i = 0; i < 2; ++i) {
    if (reader.has_value(from.input(i))) {
      inputs.push_back(reader.reading(from, i));
    } else {
      require(!constant, ErrorKind::input, "both its operands are constants");
      constant = i;
    }
  }
  IntNode added = reader.make(from, {}, inputs);
  const Shape a = added.shape;
  if (constant) {
    combine.constant_first = *constant == 0;
    read_constant(reader, from.input(*constant), a, combine);
  }
  const Shape b = constant ? combine.constant_shape : reader.node(inputs[1]).shape;
  added.shape = {joined(a.h, b.h), joined(a.w, b.w), joined(a.c, b.c)};
  check_shape(added.shape);
  combine.broadcast = a != added.shape || b != added.shape;
  added.what = std::move(combine);
  reader.append(from, std::move(added));
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const auto kind = std::ranges::find_if(kKinds, [&](CombineKind k) { return from.op_type() == onnx_operator(k); });
  if (kind == kKinds.end()) return false;
  read_combine(reader, from, *kind);
  return true;
}

}  // namespace

const QdqFacet qdq_facets::combine = {.write = write, .read = read};

}  // namespace qnudge
