// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "qnudge/quant/network.hpp"
#include "support/naive_attention.hpp"
#include "support/naive_mix.hpp"
#include "support/primitives.hpp"

/// Float graphs and lowered networks in real numbers, straight from their definitions: what `lower` must preserve.
namespace qnudge::test {

using Reals = std::vector<double>;  ///< one sample, NHWC

inline std::size_t real_at(const Shape& s, std::int64_t y, std::int64_t x, std::int64_t c) {
  return static_cast<std::size_t>((y * s.w + x) * s.c + c);
}

/// sum(w * x), without bias; `magnitude` takes |w * x| instead.
inline Reals real_conv(const ConvGeometry& conv, const FilterShape& f, const Shape& in, const Shape& out,
                       const std::vector<double>& weights, const Reals& input, bool magnitude = false) {
  const Window& win = conv.window;
  Reals result(static_cast<std::size_t>(out.size()), 0.0);
  for (std::int64_t y = 0; y < out.h; ++y)
    for (std::int64_t x = 0; x < out.w; ++x)
      for (std::int64_t k = 0; k < f.k; ++k)
        for (std::int64_t r = 0; r < f.r; ++r)
          for (std::int64_t s = 0; s < f.s; ++s) {
            const std::int64_t iy = y * win.stride_h - win.pad_top + r * win.dilation_h;
            const std::int64_t ix = x * win.stride_w - win.pad_left + s * win.dilation_w;
            if (iy < 0 || ix < 0 || iy % conv.spread_h != 0 || ix % conv.spread_w != 0) continue;
            if (iy / conv.spread_h >= in.h || ix / conv.spread_w >= in.w) continue;
            for (std::int64_t c = 0; c < f.c; ++c) {
              const double product =
                  weights.at(static_cast<std::size_t>(((k * f.r + r) * f.s + s) * f.c + c)) *
                  input.at(real_at(in, iy / conv.spread_h, ix / conv.spread_w, k / (f.k / conv.groups) * f.c + c));
              result[real_at(out, y, x, k)] += magnitude ? std::abs(product) : product;
            }
          }
  return result;
}

inline Reals real_pool(const Window& win, const Shape& in, const Shape& out, const Reals& input, WindowKind kind,
                       bool count_include_pad) {
  Reals result;
  for (std::int64_t y = 0; y < out.h; ++y)
    for (std::int64_t x = 0; x < out.w; ++x)
      for (std::int64_t c = 0; c < out.c; ++c) {
        double sum = 0.0, largest = -std::numeric_limits<double>::infinity();
        int taps = 0;
        for (std::int64_t r = 0; r < win.r; ++r)
          for (std::int64_t s = 0; s < win.s; ++s) {
            const std::int64_t iy = y * win.stride_h - win.pad_top + r * win.dilation_h;
            const std::int64_t ix = x * win.stride_w - win.pad_left + s * win.dilation_w;
            const bool inside = iy >= 0 && ix >= 0 && iy < in.h && ix < in.w;
            const bool padded = iy < in.h + win.pad_bottom && ix < in.w + win.pad_right;
            taps += inside || (count_include_pad && padded) ? 1 : 0;
            if (!inside) continue;
            sum += input.at(real_at(in, iy, ix, c));
            largest = std::max(largest, input.at(real_at(in, iy, ix, c)));
          }
        result.push_back(kind == WindowKind::max ? largest : kind == WindowKind::sum ? sum : sum / std::max(taps, 1));
      }
  return result;
}

inline Reals real_concat(const std::vector<const Reals*>& parts, const std::vector<Shape>& shapes) {
  Reals result;
  for (std::int64_t i = 0; i < shapes.front().h * shapes.front().w; ++i)
    for (std::size_t p = 0; p < parts.size(); ++p)
      for (std::int64_t c = 0; c < shapes[p].c; ++c)
        result.push_back(parts[p]->at(static_cast<std::size_t>(i * shapes[p].c + c)));
  return result;
}

inline Reals clip_reals(Reals values, double low, double high) {
  for (double& v : values) v = std::min(std::max(v, low), high);
  return values;
}

/// The identity, or a concatenation along channels.
inline Reals real_move(const ElementMap& map, const std::vector<const Reals*>& parts,
                       const std::vector<Shape>& shapes) {
  return map.identity() ? *parts.front() : real_concat(parts, shapes);
}
inline Reals real_product(const FloatProduct& what, const std::vector<const Reals*>& in,
                          const std::vector<Shape>& shapes) {
  Reals out = naive_product<double, double>(what, shapes[0], shapes[1], *in[0], *in[1]);
  for (double& v : out) v *= static_cast<double>(what.scale);
  return out;
}

/// Every node of the float graph.
inline std::vector<Reals> evaluate(const Graph& graph, const Reals& input) {
  std::vector<Reals> all;
  for (const Node& node : graph.nodes) {
    std::vector<const Reals*> in;
    std::vector<Shape> shapes;
    for (const int i : node.inputs) {
      in.push_back(&all.at(static_cast<std::size_t>(i)));
      shapes.push_back(graph.nodes.at(static_cast<std::size_t>(i)).shape);
    }
    const auto layer = [&](const FloatLayer& l) {
      Reals out = real_conv(l.conv, l.filter, shapes[0], node.shape, {l.weights.begin(), l.weights.end()}, *in[0]);
      for (std::size_t i = 0; i < out.size(); ++i) out[i] += static_cast<double>(l.bias.at(i % l.bias.size()));
      return out;
    };
    const auto norm = [&](const FloatBatchNorm& n) {
      Reals out = *in[0];
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t c = i % n.scale.size();
        out[i] = out[i] * static_cast<double>(n.scale[c]) + static_cast<double>(n.shift[c]);
      }
      return out;
    };
    const auto window = [&](const FloatWindow& w) {
      return real_pool(w.window, shapes[0], node.shape, *in[0], w.kind, w.count_include_pad);
    };
    all.push_back(std::visit(
        Overloaded{[&](const FloatInput&) { return input; }, layer, norm,
                   [&](const FloatTable& t) { return real_function(t.function, t.parameters, node.shape.c, *in[0]); },
                   [&](const FloatCombine& c) { return real_combine(c, node.shape, in, shapes); }, window,
                   [&](const FloatMove& m) { return real_move(m.map, in, shapes); },
                   [&](const FloatMix& m) { return real_mix(m, shapes[0], node.shape, *in[0]); },
                   [&](const FloatProduct& p) { return real_product(p, in, shapes); },
                   [&](const FloatNormalise& n) { return naive_normalise(n, shapes[0], *in[0]); }},
        node.what));
  }
  return all;
}

/// Every node of the lowered network with its float weights; `linear` receives each layer's value before ReLU.
inline std::vector<Reals> evaluate(const IntNetwork& network, const Reals& input, std::vector<Reals>& linear) {
  std::vector<Reals> all;
  linear.clear();
  for (const IntNode& node : network.nodes) {
    std::vector<const Reals*> in;
    std::vector<Shape> shapes;
    for (const int i : node.inputs) {
      in.push_back(&all.at(static_cast<std::size_t>(i)));
      shapes.push_back(network.at(i).shape);
    }
    const auto bounded = [&](Reals values) {
      const double infinity = std::numeric_limits<double>::infinity();
      return clip_reals(std::move(values), node.clip_low != 0.0 ? node.clip_low : (node.low == 0 ? 0.0 : -infinity),
                        node.clip_high != 0.0 ? node.clip_high : (node.high == 0 ? 0.0 : infinity));
    };
    const auto with_weights = [&](const IntLayer& l) {
      const Layer& layer = network.layer(l.layer);
      Reals out = real_conv(layer.conv, layer.filter, layer.in, layer.out, {layer.weights.begin(), layer.weights.end()},
                            *in[0]);
      for (std::size_t i = 0; i < out.size(); ++i) {
        const std::size_t k = i % layer.gain.size();
        out[i] = out[i] * layer.gain[k] + layer.shift[k];
      }
      linear.push_back(out);
      return bounded(out);
    };
    const auto table = [&](const IntTable& t) {
      return t.function.is_identity() ? bounded(*in[0]) : real_function(t.function, t.parameters, node.shape.c, *in[0]);
    };
    const auto window = [&](const IntWindow& w) {
      return real_pool(w.window, shapes[0], node.shape, *in[0], w.kind, w.count_include_pad);
    };
    all.push_back(std::visit(
        Overloaded{[&](const IntInput&) { return input; }, with_weights, table,
                   [&](const IntCombine& c) { return bounded(real_combine(c, node.shape, in, shapes)); }, window,
                   [&](const IntMove& m) { return real_move(m.map, in, shapes); },
                   [&](const IntMix& m) { return real_mix(m.mix, shapes[0], node.shape, *in[0]); },
                   [&](const IntProduct& p) { return bounded(real_product(p.product, in, shapes)); },
                   [&](const IntNormalise& n) { return bounded(naive_normalise(n.normalise, shapes[0], *in[0])); }},
        node.what));
  }
  return all;
}

}  // namespace qnudge::test
