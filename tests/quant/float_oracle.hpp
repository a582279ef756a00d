// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "qnudge/quant/network.hpp"

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

inline Reals real_pool(const Window& win, const Shape& in, const Shape& out, const Reals& input, bool maximum,
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
        result.push_back(maximum ? largest : sum / std::max(taps, 1));
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

inline Reals map_reals(Reals values, double (*f)(double)) {
  for (double& v : values) v = f(v);
  return values;
}
inline double real_sigmoid(double v) {
  return 1.0 / (1.0 + std::exp(-v));
}
inline Reals clip_reals(Reals values, double low, double high) {
  for (double& v : values) v = std::min(std::max(v, low), high);
  return values;
}

/// Every node of the float graph.
inline std::vector<Reals> evaluate(const Graph& graph, const Reals& input) {
  std::vector<Reals> all;
  for (const Node& node : graph.nodes) {
    const auto in = [&](std::size_t j) -> const Reals& { return all.at(static_cast<std::size_t>(node.inputs.at(j))); };
    const auto in_shape = [&](std::size_t j) {
      return graph.nodes.at(static_cast<std::size_t>(node.inputs.at(j))).shape;
    };
    Reals out;
    switch (node.op) {
      case Op::input:
        out = input;
        break;
      case Op::conv:
      case Op::gemm:
        out = real_conv(node.conv, node.filter, in_shape(0), node.shape, {node.weights.begin(), node.weights.end()},
                        in(0));
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += static_cast<double>(node.bias.at(i % node.bias.size()));
        break;
      case Op::batch_norm:
        out = in(0);
        for (std::size_t i = 0; i < out.size(); ++i) {
          const std::size_t c = i % node.scale.size();
          out[i] = out[i] * static_cast<double>(node.scale[c]) + static_cast<double>(node.shift[c]);
        }
        break;
      case Op::relu:
        out = clip_reals(in(0), 0.0, std::numeric_limits<double>::infinity());
        break;
      case Op::clip:
        out = clip_reals(in(0), static_cast<double>(node.clip_low), static_cast<double>(node.clip_high));
        break;
      case Op::sigmoid:
        out = map_reals(in(0), real_sigmoid);
        break;
      case Op::add:
        out = in(0);
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += in(1).at(i);
        break;
      case Op::concat: {
        std::vector<const Reals*> parts;
        std::vector<Shape> shapes;
        for (std::size_t j = 0; j < node.inputs.size(); ++j) {
          parts.push_back(&in(j));
          shapes.push_back(in_shape(j));
        }
        out = real_concat(parts, shapes);
        break;
      }
      case Op::max_pool:
      case Op::average_pool:
        out = real_pool(node.pool, in_shape(0), node.shape, in(0), node.op == Op::max_pool, node.count_include_pad);
        break;
      case Op::flatten:
        out = in(0);
        break;
    }
    all.push_back(std::move(out));
  }
  return all;
}

/// Every node of the lowered network with its float weights; `linear` receives each layer's value before ReLU.
inline std::vector<Reals> evaluate(const IntNetwork& network, const Reals& input, std::vector<Reals>& linear) {
  std::vector<Reals> all;
  linear.clear();
  for (const IntNode& node : network.nodes) {
    const auto in = [&](std::size_t j) -> const Reals& { return all.at(static_cast<std::size_t>(node.inputs.at(j))); };
    const auto bounded = [&](Reals values) {
      const double infinity = std::numeric_limits<double>::infinity();
      return clip_reals(std::move(values), node.clip_low != 0.0 ? node.clip_low : (node.low == 0 ? 0.0 : -infinity),
                        node.clip_high != 0.0 ? node.clip_high : (node.high == 0 ? 0.0 : infinity));
    };
    Reals out;
    switch (node.op) {
      case IntOp::input:
        out = input;
        break;
      case IntOp::conv: {
        const Layer& layer = network.layer(node.layer);
        out = real_conv(layer.conv, layer.filter, layer.in, layer.out, {layer.weights.begin(), layer.weights.end()},
                        in(0));
        for (std::size_t i = 0; i < out.size(); ++i) {
          const std::size_t k = i % layer.gain.size();
          out[i] = out[i] * layer.gain[k] + layer.shift[k];
        }
        linear.push_back(out);
        out = bounded(out);
        break;
      }
      case IntOp::add:
        out = in(0);
        for (std::size_t i = 0; i < out.size(); ++i) out[i] += in(1).at(i);
        out = bounded(out);
        break;
      case IntOp::clamp:
        out = bounded(in(0));
        break;
      case IntOp::lookup:
        out = map_reals(in(0), real_sigmoid);
        break;
      case IntOp::concat: {
        std::vector<const Reals*> parts;
        std::vector<Shape> shapes;
        for (std::size_t j = 0; j < node.inputs.size(); ++j) {
          parts.push_back(&in(j));
          shapes.push_back(network.at(node.inputs[j]).shape);
        }
        out = real_concat(parts, shapes);
        break;
      }
      case IntOp::max_pool:
      case IntOp::average_pool:
        out = real_pool(node.pool, network.at(node.inputs[0]).shape, node.shape, in(0), node.op == IntOp::max_pool,
                        node.count_include_pad);
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
