// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "host/quant/primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/functions.hpp"
#include "qnudge/quant/code_table.hpp"

namespace qnudge {
namespace {

constexpr std::size_t kMostHalfTables = 1024;     // 128 MiB
constexpr float kSigmoidRange = 127.0f / 128.0f;  // what exponent -7 holds

const IntTable& table_of(const IntNode& node) {
  return std::get<IntTable>(node.what);
}

/// Nothing but the node's bounds.
bool clamps(const IntNode& node) {
  return table_of(node).function.is_identity();
}

std::string_view kind(const IntNode& node) {
  return clamps(node) ? "clamp" : "lookup";
}

CodeBounds bounds(const IntNode& node, std::span<const CodeBounds> inputs) {
  const CodeBounds& in = inputs[0];
  const std::vector<std::int8_t>& codes = table_of(node).codes;
  if (clamps(node)) {
    return {std::clamp<int>(in.low, node.low, node.high), std::clamp<int>(in.high, node.low, node.high)};
  }
  if (codes.empty()) return {node.low, node.high};
  const auto [low, high] = std::minmax_element(codes.begin(), codes.end());
  return {*low, *high};
}

std::optional<float> range(const IntNode& node) {
  return table_of(node).function == sigmoid_function() ? std::optional(kSigmoidRange) : std::nullopt;
}

void derive(const IntNetwork& network, IntNode& node) {
  auto& table = std::get<IntTable>(node.what);
  if (table.function.is_identity()) return;
  const int from = network.at(node.inputs[0]).exponent;
  table.codes.clear();
  table.halves.clear();
  const auto append = [&](const ScalarFunction& f) {
    const auto codes = code_table(f, from, node.exponent, node.low, node.high);
    table.codes.insert(table.codes.end(), codes.begin(), codes.end());
    if (!network.half()) return;
    const auto halves = half_table(f, from, node.exponent);
    table.halves.insert(table.halves.end(), halves.begin(), halves.end());
  };
  if (table.parameters.empty()) return append(table.function);
  const auto channels = static_cast<std::size_t>(node.shape.c);
  require(!network.half() || channels <= kMostHalfTables, ErrorKind::input,
          "node '{}': a table for each of {} channels; with half activations at most {} are supported", node.name,
          channels, kMostHalfTables);
  for (std::size_t c = 0; c < channels; ++c) append(table.function.of_channel(table.parameters, c));
}

}  // namespace

void quant_facets::lower_table(Lowering& lowering, int i) {
  const Node& from = lowering.at(i);
  const auto limits = bounds_of(from);
  if (!limits) {
    const auto& table = std::get<FloatTable>(from.what);
    lowering.append(IntTable{.function = table.function, .parameters = table.parameters, .codes = {}, .halves = {}}, i);
    return;
  }
  IntNode& clamp = lowering.node(lowering.append(IntTable{}, i));
  if (limits->low == 0.0) clamp.low = 0;
  if (limits->high == 0.0) clamp.high = 0;
  if (std::isfinite(limits->low)) clamp.clip_low = limits->low;
  if (std::isfinite(limits->high)) clamp.clip_high = limits->high;
}

const QuantFacet quant_facets::table = {
    .kind = kind, .bounds = bounds, .passes_codes = clamps, .range = range, .derive = derive};

}  // namespace qnudge
