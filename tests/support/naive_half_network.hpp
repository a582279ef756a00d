// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "qnudge/quant/network.hpp"
#include "support/naive_network.hpp"

/// Half activations straight from the definition in quant/network.hpp: values as doubles, every node's result rounded
/// by the compiler's own half precision.
namespace qnudge::test {

using Doubles = std::vector<double>;

/// Nearest half of a float, clamped to `bounds` first.
inline double naive_half(float v, const HalfBounds& bounds) {
  return static_cast<double>(static_cast<_Float16>(std::clamp(v, bounds.low, bounds.high)));
}

inline Doubles naive_half_conv(const IntNetwork& net, const IntNode& node, const Doubles& input, bool is_output) {
  const Layer& layer = net.layer(node.layer);
  const LayerParams& p = layer.params;
  const Window& win = layer.conv.window;
  const FilterShape& f = layer.filter;
  const auto weight = [&](std::size_t k, std::size_t tap) {
    if (p.bits != kHalfBits) return static_cast<double>(p.codes.at(tap));
    return p.frozen.at(k) != 0 ? 0.0
                               : static_cast<double>(static_cast<_Float16>(layer.weights.at(tap) / p.scale.at(k)));
  };
  Doubles out;
  for (std::int64_t i = 0; i < layer.out.size(); ++i) {
    const std::int64_t k = i % f.k, ox = i / f.k % layer.out.w, oy = i / (f.k * layer.out.w);
    const auto ku = static_cast<std::size_t>(k);
    double sum = 0;
    for (std::int64_t tap = 0; tap < f.taps(); ++tap) {
      const std::int64_t c = tap % f.c, s = tap / f.c % f.s, r = tap / (f.c * f.s);
      const std::int64_t y =
          naive_unspread(oy * win.stride_h - win.pad_top + r * win.dilation_h, layer.conv.spread_h, layer.in.h);
      const std::int64_t x =
          naive_unspread(ox * win.stride_w - win.pad_left + s * win.dilation_w, layer.conv.spread_w, layer.in.w);
      if (y < 0 || x < 0) continue;
      sum += weight(ku, static_cast<std::size_t>(k * f.taps() + tap)) *
             input.at(naive_at(layer.in, y, x, k / (f.k / layer.conv.groups) * f.c + c));
    }
    const float v = (static_cast<float>(sum) + static_cast<float>(p.bias.at(ku))) * p.multiplier.at(ku);
    out.push_back(!is_output ? naive_half(v, half_bounds(node)) : node.low == 0 ? std::max(0.0f, v) : v);
  }
  return out;
}

inline Doubles naive_half_pool(const IntNetwork& net, const IntNode& node, const Doubles& input) {
  const IntNode& from = net.at(node.inputs.at(0));
  const bool constant = node.op == IntOp::average_pool && naive_constant_divisor(node, from.shape);
  Doubles out;
  for (std::int64_t i = 0; i < node.shape.size(); ++i) {
    const std::int64_t c = i % node.shape.c, ox = i / node.shape.c % node.shape.w,
                       oy = i / (node.shape.c * node.shape.w);
    float sum = 0;
    double largest = -kLargestHalf;
    naive_window(node.pool, from.shape, oy, ox, false, [&](std::int64_t y, std::int64_t x) {
      const double v = input.at(naive_at(from.shape, y, x, c));
      sum += static_cast<float>(v);
      largest = std::max(largest, v);
    });
    const double exact = std::ldexp(1.0, from.exponent - node.exponent) /
                         static_cast<double>(std::max<std::int64_t>(1, naive_divisor(node, from.shape, oy, ox)));
    const float multiplier = constant ? node.multiplier : static_cast<float>(exact);
    out.push_back(node.op == IntOp::max_pool ? largest : naive_half(sum * multiplier, {}));
  }
  return out;
}

/// Every node's values for one image of halves; the float output as it is, all others in units of 2^exponent.
inline std::vector<Doubles> naive_half_run(const IntNetwork& net, std::span<const Half> input) {
  std::vector<Doubles> all;
  for (std::size_t i = 0; i < net.nodes.size(); ++i) {
    const IntNode& node = net.nodes[i];
    const auto in = [&](std::size_t j) -> const Doubles& {
      return all.at(static_cast<std::size_t>(node.inputs.at(j)));
    };
    Doubles out;
    switch (node.op) {
      case IntOp::input:
        for (const Half h : input) out.push_back(static_cast<double>(to_float(h)));
        break;
      case IntOp::conv:
        out = naive_half_conv(net, node, in(0), static_cast<int>(i) == net.output);
        break;
      case IntOp::add:
        for (std::size_t e = 0; e < in(0).size(); ++e) {
          const float sum =
              static_cast<float>(in(0)[e]) * node.multiplier_a + static_cast<float>(in(1).at(e)) * node.multiplier_b;
          out.push_back(naive_half(sum, half_bounds(node)));
        }
        break;
      case IntOp::clamp:
        for (const double v : in(0)) out.push_back(naive_half(static_cast<float>(v), half_bounds(node)));
        break;
      case IntOp::lookup:
        for (const double v : in(0)) {
          const std::uint16_t bits = std::bit_cast<std::uint16_t>(static_cast<_Float16>(v));
          out.push_back(static_cast<double>(to_float(node.half_table.at(bits))));
        }
        break;
      case IntOp::concat:
        for (std::int64_t pixel = 0; pixel < node.shape.h * node.shape.w; ++pixel) {
          for (const int from : node.inputs) {
            const auto c = static_cast<std::ptrdiff_t>(net.at(from).shape.c);
            const auto at = all.at(static_cast<std::size_t>(from)).begin() + pixel * c;
            out.insert(out.end(), at, at + c);
          }
        }
        break;
      case IntOp::max_pool:
      case IntOp::average_pool:
        out = naive_half_pool(net, node, in(0));
        break;
      case IntOp::view:
        out = in(0);
        break;
    }
    all.push_back(std::move(out));
  }
  return all;
}

}  // namespace qnudge::test
