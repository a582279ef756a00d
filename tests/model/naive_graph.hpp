// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "qnudge/model/graph.hpp"
#include "support/primitives.hpp"

namespace qnudge::test {

using Tensor = std::vector<double>;  ///< one sample, NHWC

/// A direct reading of the graph's documentation: one sample, doubles, loops over everything.
class NaiveGraph {
 public:
  explicit NaiveGraph(const Graph& graph) : graph_(graph) {}

  Tensor run(const Tensor& input) const {
    std::vector<Tensor> values;
    for (const Node& node : graph_.nodes) {
      values.push_back(node.inputs.empty() ? input : evaluate(node, values));
    }
    return values[static_cast<std::size_t>(graph_.output)];
  }

 private:
  static std::size_t at(const Shape& s, std::int64_t y, std::int64_t x, std::int64_t c) {
    return static_cast<std::size_t>((y * s.w + x) * s.c + c);
  }

  Tensor evaluate(const Node& node, const std::vector<Tensor>& values) const {
    const auto first = static_cast<std::size_t>(node.inputs[0]);
    const Shape& in = graph_.nodes[first].shape;
    const auto& x = values[first];
    return std::visit(Overloaded{[&](const FloatInput&) { return x; },
                                 [&](const FloatLayer& layer) { return conv(layer, in, node.shape, x); },
                                 [&](const FloatBatchNorm& norm) { return scaled(norm, x); },
                                 [&](const FloatTable&) { return mapped(std::string(kind_of(node)), node, x); },
                                 [&](const FloatCombine&) { return sum(node, values); },
                                 [&](const FloatWindow& window) { return pool(window, in, node.shape, x); },
                                 [&](const FloatMove& move) { return move.map.identity() ? x : concat(node, values); }},
                      node.what);
  }

  static Tensor scaled(const FloatBatchNorm& norm, Tensor x) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = x[i] * norm.scale[i % norm.scale.size()] + norm.shift[i % norm.scale.size()];
    }
    return x;
  }

  static Tensor mapped(const std::string& kind, const Node& node, Tensor x) {
    for (double& v : x) {
      if (kind == "relu") v = std::max(v, 0.0);
      if (kind == "clip") v = std::clamp<double>(v, bounds_of(node)->low, bounds_of(node)->high);
      if (kind == "sigmoid") v = 1 / (1 + std::exp(-v));
    }
    return x;
  }

  static Tensor sum(const Node& node, const std::vector<Tensor>& values) {
    Tensor out = values[static_cast<std::size_t>(node.inputs[0])];
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += values[static_cast<std::size_t>(node.inputs[1])][i];
    return out;
  }

  Tensor concat(const Node& node, const std::vector<Tensor>& values) const {
    Tensor out;
    for (std::int64_t p = 0; p < node.shape.h * node.shape.w; ++p) {
      for (const int input : node.inputs) {
        const std::int64_t c = graph_.nodes[static_cast<std::size_t>(input)].shape.c;
        const auto from = values[static_cast<std::size_t>(input)].begin() + p * c;
        out.insert(out.end(), from, from + c);
      }
    }
    return out;
  }

  /// The input position behind position `p` of the spread input, -1 if a zero stands there.
  static std::int64_t unspread(std::int64_t p, std::int64_t spread, std::int64_t extent) {
    return p < 0 || p % spread != 0 || p / spread >= extent ? -1 : p / spread;
  }

  static Tensor conv(const FloatLayer& layer, const Shape& in, const Shape& to, const Tensor& x) {
    const auto& [k_count, r_count, s_count, c_count] = layer.filter;
    const ConvGeometry& g = layer.conv;
    Tensor out(static_cast<std::size_t>(to.size()));
    for (std::int64_t y = 0; y < to.h; ++y) {
      for (std::int64_t z = 0; z < to.w; ++z) {
        for (std::int64_t k = 0; k < k_count; ++k) {
          double sum = layer.bias[static_cast<std::size_t>(k)];
          const std::int64_t first_c = k / (k_count / g.groups) * c_count;
          for (std::int64_t r = 0; r < r_count; ++r) {
            for (std::int64_t s = 0; s < s_count; ++s) {
              const std::int64_t iy =
                  unspread(y * g.window.stride_h - g.window.pad_top + r * g.window.dilation_h, g.spread_h, in.h);
              const std::int64_t ix =
                  unspread(z * g.window.stride_w - g.window.pad_left + s * g.window.dilation_w, g.spread_w, in.w);
              if (iy < 0 || ix < 0) continue;
              for (std::int64_t c = 0; c < c_count; ++c) {
                const auto w = static_cast<std::size_t>(((k * r_count + r) * s_count + s) * c_count + c);
                sum += x[at(in, iy, ix, first_c + c)] * layer.weights[w];
              }
            }
          }
          out[at(to, y, z, k)] = sum;
        }
      }
    }
    return out;
  }

  static Tensor pool(const FloatWindow& window, const Shape& in, const Shape& to, const Tensor& x) {
    const Window& p = window.window;
    Tensor out(static_cast<std::size_t>(to.size()));
    for (std::int64_t y = 0; y < to.h; ++y) {
      for (std::int64_t z = 0; z < to.w; ++z) {
        for (std::int64_t c = 0; c < in.c; ++c) {
          double largest = -std::numeric_limits<double>::infinity(), sum = 0;
          std::int64_t taps = 0;
          for (std::int64_t r = 0; r < p.r; ++r) {
            for (std::int64_t s = 0; s < p.s; ++s) {
              const std::int64_t iy = y * p.stride_h - p.pad_top + r * p.dilation_h;
              const std::int64_t ix = z * p.stride_w - p.pad_left + s * p.dilation_w;
              const bool inside = iy >= 0 && ix >= 0 && iy < in.h && ix < in.w;
              taps += inside || window.count_include_pad ? 1 : 0;
              if (!inside) continue;
              largest = std::max(largest, x[at(in, iy, ix, c)]);
              sum += x[at(in, iy, ix, c)];
            }
          }
          out[at(to, y, z, c)] = window.kind == WindowKind::max ? largest : sum / static_cast<double>(taps);
        }
      }
    }
    return out;
  }

  const Graph& graph_;
};

}  // namespace qnudge::test
