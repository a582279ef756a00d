// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>

#include "host/quant/primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

const IntCombine& combine_of(const IntNode& node) {
  return std::get<IntCombine>(node.what);
}

float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

/// Codes or halves of the constant at a scale of its own.
void quantise_constant(const IntNetwork& network, IntCombine& combine) {
  combine.codes.clear();
  combine.halves.clear();
  combine.constant_exponent = exponent_of(static_cast<double>(largest(combine.constant)));
  for (const float value : combine.constant) {
    const double steps = std::ldexp(static_cast<double>(value), -combine.constant_exponent);
    if (network.half()) {
      combine.halves.push_back(to_half(static_cast<float>(steps)));
    } else {
      combine.codes.push_back(static_cast<std::int8_t>(std::nearbyint(std::clamp(steps, -128.0, 127.0))));
    }
  }
}

void derive(const IntNetwork& network, IntNode& node) {
  auto& combine = std::get<IntCombine>(node.what);
  std::vector<int> exponents;
  for (const int in : node.inputs) exponents.push_back(network.at(in).exponent);
  if (!combine.constant.empty()) {
    quantise_constant(network, combine);
    exponents.insert(combine.constant_first ? exponents.begin() : exponents.end(), combine.constant_exponent);
  }
  const auto power = [&](int exponent) { return static_cast<float>(std::ldexp(1.0, exponent - node.exponent)); };
  combine.multiplier_a = power(exponents[0]);
  combine.multiplier_b = power(exponents[1]);
  if (combine.kind != CombineKind::multiply && combine.kind != CombineKind::divide) return;
  combine.multiplier_a = power(exponents[0] + (combine.kind == CombineKind::multiply ? exponents[1] : -exponents[1]));
  combine.multiplier_b = 1;
}

/// Of operands without negative values no operation but a difference makes one.
CodeBounds bounds(const IntNode& node, std::span<const CodeBounds> inputs) {
  const IntCombine& combine = combine_of(node);
  const auto nonnegative = [](const CodeBounds& in) { return in.low >= 0; };
  const bool none_below = combine.kind != CombineKind::subtract && std::ranges::all_of(inputs, nonnegative) &&
                          std::ranges::all_of(combine.constant, [](float value) { return value >= 0; });
  const int low = none_below ? std::max<int>(node.low, std::min<int>(0, node.high)) : node.low;
  return {low, node.high};
}

std::optional<std::array<float, 2>> sum(const IntNode& node) {
  const IntCombine& combine = combine_of(node);
  if (!combine.plain_sum()) return std::nullopt;
  return std::array{combine.multiplier_a, combine.multiplier_b};
}

}  // namespace

void quant_facets::lower_combine(Lowering& lowering, int i) {
  const Node& node = lowering.at(i);
  const auto& from = std::get<FloatCombine>(node.what);
  require(std::ranges::all_of(from.constant, [](float value) { return std::isfinite(value); }), ErrorKind::input,
          "node '{}': its constant is not finite", node.name);
  require(static_cast<double>(largest(from.constant)) <= std::ldexp(127.0, kExponentLimit), ErrorKind::input,
          "node '{}': its constant reaches {}; at most {} is supported", node.name, largest(from.constant),
          std::ldexp(127.0, kExponentLimit));
  IntCombine combine{.kind = from.kind};
  combine.constant = from.constant;
  combine.constant_shape = from.constant_shape;
  combine.constant_first = from.constant_first;
  if (!from.constant.empty()) combine.broadcast = from.constant_shape != node.shape;
  for (const int in : node.inputs) combine.broadcast = combine.broadcast || lowering.at(in).shape != node.shape;
  lowering.absorb_bounds(lowering.append(std::move(combine), i), i, true);
}

const QuantFacet quant_facets::combine = {.kind = [](const IntNode& node) { return to_string(combine_of(node).kind); },
                                          .bounds = bounds,
                                          .derive = derive,
                                          .sum = sum};

}  // namespace qnudge
