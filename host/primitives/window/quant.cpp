// SPDX-License-Identifier: MIT
#include <cmath>

#include "host/quant/primitives.hpp"
#include "quant_multipliers.hpp"

namespace qnudge {
namespace {

const IntWindow& window_of(const IntNode& node) {
  return std::get<IntWindow>(node.what);
}

bool is_maximum(const IntNode& node) {
  return window_of(node).kind == WindowKind::max;
}

/// Divisors of all positions, [OH, OW].
std::vector<std::int64_t> divisors(const IntNode& node, const Shape& in) {
  const IntWindow& pool = window_of(node);
  if (pool.kind == WindowKind::sum) return {1};
  const Window& w = pool.window;
  std::vector<std::int64_t> all;
  for (std::int64_t y = 0; y < node.shape.h; ++y) {
    for (std::int64_t x = 0; x < node.shape.w; ++x) {
      all.push_back(
          pool_divisor(w, pool.count_include_pad, in, y * w.stride_h - w.pad_top, x * w.stride_w - w.pad_left));
    }
  }
  return all;
}

bool vary(const std::vector<std::int64_t>& all) {
  for (const std::int64_t divisor : all) {
    if (divisor != all[0]) return true;
  }
  return false;
}

/// 2^(in_exponent - out_exponent) / divisor, rounded once to fp32.
float multiplier(const IntNode& from, const IntNode& to, std::int64_t divisor) {
  return static_cast<float>(std::ldexp(1.0, from.exponent - to.exponent) / static_cast<double>(divisor));
}

void derive(const IntNetwork& network, IntNode& node) {
  if (is_maximum(node)) return;
  const IntNode& from = network.at(node.inputs[0]);
  auto& pool = std::get<IntWindow>(node.what);
  const std::vector<std::int64_t> all = divisors(node, from.shape);
  pool.multiplier = multiplier(from, node, vary(all) ? pool.window.r * pool.window.s : all[0]);
}

CodeBounds bounds(const IntNode& node, std::span<const CodeBounds> inputs) {
  if (is_maximum(node)) return inputs[0];
  return {inputs[0].low >= 0 ? 0 : -128, 127};
}

}  // namespace

std::vector<float> pool_multipliers(const IntNetwork& network, const IntNode& node) {
  if (is_maximum(node)) return {};
  const IntNode& from = network.at(node.inputs[0]);
  const std::vector<std::int64_t> all = divisors(node, from.shape);
  std::vector<float> multipliers;
  if (!vary(all)) return multipliers;
  for (const std::int64_t divisor : all) multipliers.push_back(multiplier(from, node, divisor));
  return multipliers;
}

void quant_facets::lower_window(Lowering& lowering, int i) {
  const FloatWindow& from = std::get<FloatWindow>(lowering.at(i).what);
  lowering.append(IntWindow{from.kind, from.window, from.count_include_pad}, i);
}

const QuantFacet quant_facets::window = {
    .kind = [](const IntNode& node) -> std::string_view {
      return is_maximum(node) ? "max_pool" : window_of(node).kind == WindowKind::average ? "average_pool" : "sum";
    },
    .bounds = bounds,
    .passes_codes = is_maximum,
    .derive = derive};

}  // namespace qnudge
