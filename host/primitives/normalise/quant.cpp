// SPDX-License-Identifier: MIT
#include <cmath>

#include "host/quant/primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/code_table.hpp"
#include "qnudge/quant/softmax_bits.hpp"
#include "quant_constants.hpp"

namespace qnudge {
namespace {

constexpr float kSoftmaxRange = 127.0f / 128.0f;  // what exponent -7 holds

const FloatNormalise& normalise_of(const IntNode& node) {
  return std::get<IntNormalise>(node.what).normalise;
}

bool is_softmax(const IntNode& node) {
  return normalise_of(node).kind == NormaliseKind::softmax;
}

void derive(const IntNetwork& network, IntNode& node) {
  if (!is_softmax(node)) return;
  require(-node.exponent >= kSoftmaxLeastBits && -node.exponent <= kSoftmaxMostBits, ErrorKind::input,
          "node '{}': exponent {}; that of a softmax must lie between {} and {}", node.name, node.exponent,
          -kSoftmaxMostBits, -kSoftmaxLeastBits);
  std::get<IntNormalise>(node.what).exponentials = exponential_table(network.at(node.inputs[0]).exponent);
}

CodeBounds bounds(const IntNode& node, std::span<const CodeBounds>) {
  return {is_softmax(node) ? 0 : node.low, node.high};
}

}  // namespace

MomentConstants moment_constants(const IntNetwork& network, const IntNode& node) {
  const FloatNormalise& n = normalise_of(node);
  const double size = static_cast<double>(n.channels * (n.area ? node.shape.h * node.shape.w : 1));
  MomentConstants all;
  all.epsilon = std::ldexp(size * size * static_cast<double>(n.epsilon), -2 * network.at(node.inputs[0]).exponent);
  for (const float gain : n.gain) all.gain.push_back(std::ldexp(static_cast<double>(gain), -node.exponent));
  for (const float shift : n.shift) all.shift.push_back(std::ldexp(static_cast<double>(shift), -node.exponent));
  return all;
}

void quant_facets::lower_normalise(Lowering& lowering, int i) {
  const FloatNormalise& what = std::get<FloatNormalise>(lowering.at(i).what);
  const int added = lowering.append(IntNormalise{.normalise = what}, i);
  if (what.kind != NormaliseKind::softmax) lowering.absorb_bounds(added, i, true);
}

const QuantFacet quant_facets::normalise = {
    .kind = [](const IntNode& node) -> std::string_view { return is_softmax(node) ? "softmax" : "normalise"; },
    .bounds = bounds,
    .range = [](const IntNode& node) { return is_softmax(node) ? std::optional(kSoftmaxRange) : std::nullopt; },
    .derive = derive};

}  // namespace qnudge
