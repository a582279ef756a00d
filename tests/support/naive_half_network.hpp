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
  const Layer& layer = net.layer(node.layer());
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
  const IntWindow& pool = window_of(node);
  const bool constant = pool.kind != WindowKind::max && naive_constant_divisor(node, from.shape);
  Doubles out;
  for (std::int64_t i = 0; i < node.shape.size(); ++i) {
    const std::int64_t c = i % node.shape.c, ox = i / node.shape.c % node.shape.w,
                       oy = i / (node.shape.c * node.shape.w);
    float sum = 0;
    double largest = -kLargestHalf;
    naive_window(pool.window, from.shape, oy, ox, false, [&](std::int64_t y, std::int64_t x) {
      const double v = input.at(naive_at(from.shape, y, x, c));
      sum += static_cast<float>(v);
      largest = std::max(largest, v);
    });
    const double exact = std::ldexp(1.0, from.exponent - node.exponent) /
                         static_cast<double>(std::max<std::int64_t>(1, naive_divisor(node, from.shape, oy, ox)));
    const float multiplier = constant ? pool.multiplier : static_cast<float>(exact);
    out.push_back(pool.kind == WindowKind::max ? largest : naive_half(sum * multiplier, {}));
  }
  return out;
}

inline Doubles naive_half_combine(const IntNetwork& net, const IntNode& node, const std::vector<Doubles>& all) {
  Doubles out, constant;
  for (const Half half : combine_of(node).halves) constant.push_back(static_cast<double>(to_float(half)));
  std::vector<const Doubles*> inputs;
  for (const int in : node.inputs) inputs.push_back(&all.at(static_cast<std::size_t>(in)));
  naive_pairs(net, node, inputs, constant, [&](double a, double b) {
    const float value = naive_combined(combine_of(node), static_cast<float>(a), static_cast<float>(b));
    out.push_back(naive_half(value, half_bounds(node)));
  });
  return out;
}

inline Doubles naive_half_table(const IntNode& node, const Doubles& x) {
  const IntTable& table = table_of(node);
  Doubles out;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    const std::size_t row = table.parameters.empty() ? 0 : i % static_cast<std::size_t>(node.shape.c);
    const std::size_t bits = row * 65536 + std::bit_cast<std::uint16_t>(static_cast<_Float16>(v));
    out.push_back(table.function.is_identity() ? naive_half(static_cast<float>(v), half_bounds(node))
                                               : static_cast<double>(to_float(table.halves.at(bits))));
  }
  return out;
}

inline Doubles naive_half_concat(const IntNetwork& net, const IntNode& node, const std::vector<Doubles>& all) {
  Doubles out;
  for (std::int64_t pixel = 0; pixel < node.shape.h * node.shape.w; ++pixel) {
    for (const int from : node.inputs) {
      const auto c = static_cast<std::ptrdiff_t>(net.at(from).shape.c);
      const auto at = all.at(static_cast<std::size_t>(from)).begin() + pixel * c;
      out.insert(out.end(), at, at + c);
    }
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
    const auto given = [&](const IntInput&) {
      Doubles values;
      for (const Half h : input) values.push_back(static_cast<double>(to_float(h)));
      return values;
    };
    all.push_back(std::visit(
        Overloaded{
            given,
            [&](const IntLayer&) { return naive_half_conv(net, node, in(0), static_cast<int>(i) == net.output); },
            [&](const IntTable&) { return naive_half_table(node, in(0)); },
            [&](const IntCombine&) { return naive_half_combine(net, node, all); },
            [&](const IntWindow&) { return naive_half_pool(net, node, in(0)); },
            [&](const IntMove&) { return node.view() ? in(0) : naive_half_concat(net, node, all); },
            [&](const IntMix& m) {
              Doubles out;
              for (const double v : naive_mix_fixed(m.mix, net.at(node.inputs[0]).shape, node.shape, in(0))) {
                out.push_back(naive_half(static_cast<float>(v), {}));
              }
              return out;
            },
            [&](const IntProduct& p) {
              Doubles out;
              for (const float sum : naive_product<float, double>(p.product, net.at(node.inputs[0]).shape,
                                                                  net.at(node.inputs[1]).shape, in(0), in(1))) {
                out.push_back(naive_half(sum * p.multiplier, half_bounds(node)));
              }
              return out;
            },
            [&](const IntNormalise& n) {
              const bool softmax = n.normalise.kind == NormaliseKind::softmax;
              Doubles out;
              for (const float v : naive_normalise_halves(node, net.at(node.inputs[0]).exponent, in(0))) {
                out.push_back(naive_half(v, softmax ? HalfBounds{0.0f} : half_bounds(node)));
              }
              return out;
            }},
        node.what));
  }
  return all;
}

}  // namespace qnudge::test
