// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "qnudge/model/graph.hpp"
#include "support/naive_attention.hpp"
#include "support/naive_mix.hpp"
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
                                 [&](const FloatTable& t) { return real_function(t.function, t.parameters, in.c, x); },
                                 [&](const FloatCombine& c) { return combined(c, node, values); },
                                 [&](const FloatWindow& window) { return pool(window, in, node.shape, x); },
                                 [&](const FloatMove& move) { return moved(move, node, values); },
                                 [&](const FloatMix& m) { return real_mix(m, in, node.shape, x); },
                                 [&](const FloatProduct& p) { return product(p, node, values); },
                                 [&](const FloatNormalise& n) { return naive_normalise(n, node.shape, x); }},
                      node.what);
  }

  Tensor product(const FloatProduct& what, const Node& node, const std::vector<Tensor>& values) const {
    const auto a = static_cast<std::size_t>(node.inputs[0]), b = static_cast<std::size_t>(node.inputs[1]);
    Tensor out =
        naive_product<double, double>(what, graph_.nodes[a].shape, graph_.nodes[b].shape, values[a], values[b]);
    for (double& v : out) v *= static_cast<double>(what.scale);
    return out;
  }

  static Tensor scaled(const FloatBatchNorm& norm, Tensor x) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      x[i] = x[i] * norm.scale[i % norm.scale.size()] + norm.shift[i % norm.scale.size()];
    }
    return x;
  }

  Tensor combined(const FloatCombine& combine, const Node& node, const std::vector<Tensor>& values) const {
    std::vector<const Tensor*> in;
    std::vector<Shape> shapes;
    for (const int i : node.inputs) {
      in.push_back(&values[static_cast<std::size_t>(i)]);
      shapes.push_back(graph_.nodes[static_cast<std::size_t>(i)].shape);
    }
    return real_combine(combine, node.shape, in, shapes);
  }

  Tensor moved(const FloatMove& move, const Node& node, const std::vector<Tensor>& values) const {
    if (move.map.identity()) return values[static_cast<std::size_t>(node.inputs[0])];
    Tensor out(static_cast<std::size_t>(node.shape.size()), std::numeric_limits<double>::quiet_NaN());
    for (const ElementMap::Box& box : move.map.boxes) {
      const Tensor& from = values[static_cast<std::size_t>(node.inputs[static_cast<std::size_t>(box.input)])];
      copy(box, 0, box.from, box.to, from, out);
    }
    return out;
  }

  static void copy(const ElementMap::Box& box, std::size_t depth, std::int64_t from, std::int64_t to, const Tensor& in,
                   Tensor& out) {
    if (depth == box.axes.size()) {
      out.at(static_cast<std::size_t>(to)) = in.at(static_cast<std::size_t>(from));
      return;
    }
    const ElementMap::Axis& axis = box.axes[depth];
    for (std::int64_t i = 0; i < axis.extent; ++i) {
      copy(box, depth + 1, from + i * axis.from, to + i * axis.to, in, out);
    }
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
          out[at(to, y, z, c)] = window.kind == WindowKind::max       ? largest
                                 : window.kind == WindowKind::average ? sum / static_cast<double>(taps)
                                                                      : sum;
        }
      }
    }
    return out;
  }

  const Graph& graph_;
};

}  // namespace qnudge::test
