// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "qnudge/model/graph.hpp"

namespace qnudge::test {

using Tensor = std::vector<double>;  ///< one sample, NHWC

/// A direct reading of the graph's documentation: one sample, doubles, loops over everything.
class NaiveGraph {
 public:
  explicit NaiveGraph(const Graph& graph) : graph_(graph) {}

  Tensor run(const Tensor& input) const {
    std::vector<Tensor> values;
    for (const Node& node : graph_.nodes) {
      values.push_back(node.op == Op::input ? input : evaluate(node, values));
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
    switch (node.op) {
      case Op::conv:
      case Op::gemm:
        return conv(node, in, values[first]);
      case Op::max_pool:
      case Op::average_pool:
        return pool(node, in, values[first]);
      case Op::concat:
        return concat(node, values);
      default:
        return elementwise(node, values);
    }
  }

  Tensor elementwise(const Node& node, const std::vector<Tensor>& values) const {
    Tensor out = values[static_cast<std::size_t>(node.inputs[0])];
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t c = i % static_cast<std::size_t>(node.shape.c);
      double& v = out[i];
      if (node.op == Op::relu) v = std::max(v, 0.0);
      if (node.op == Op::clip) v = std::clamp<double>(v, node.clip_low, node.clip_high);
      if (node.op == Op::sigmoid) v = 1 / (1 + std::exp(-v));
      if (node.op == Op::add) v += values[static_cast<std::size_t>(node.inputs[1])][i];
      if (node.op == Op::batch_norm) v = v * node.scale[c] + node.shift[c];
    }
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

  static Tensor conv(const Node& node, const Shape& in, const Tensor& x) {
    const auto& [k_count, r_count, s_count, c_count] = node.filter;
    const ConvGeometry& g = node.conv;
    Tensor out(static_cast<std::size_t>(node.shape.size()));
    for (std::int64_t y = 0; y < node.shape.h; ++y) {
      for (std::int64_t z = 0; z < node.shape.w; ++z) {
        for (std::int64_t k = 0; k < k_count; ++k) {
          double sum = node.bias[static_cast<std::size_t>(k)];
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
                sum += x[at(in, iy, ix, first_c + c)] * node.weights[w];
              }
            }
          }
          out[at(node.shape, y, z, k)] = sum;
        }
      }
    }
    return out;
  }

  static Tensor pool(const Node& node, const Shape& in, const Tensor& x) {
    const Window& p = node.pool;
    Tensor out(static_cast<std::size_t>(node.shape.size()));
    for (std::int64_t y = 0; y < node.shape.h; ++y) {
      for (std::int64_t z = 0; z < node.shape.w; ++z) {
        for (std::int64_t c = 0; c < in.c; ++c) {
          double largest = -std::numeric_limits<double>::infinity(), sum = 0;
          std::int64_t taps = 0;
          for (std::int64_t r = 0; r < p.r; ++r) {
            for (std::int64_t s = 0; s < p.s; ++s) {
              const std::int64_t iy = y * p.stride_h - p.pad_top + r * p.dilation_h;
              const std::int64_t ix = z * p.stride_w - p.pad_left + s * p.dilation_w;
              const bool inside = iy >= 0 && ix >= 0 && iy < in.h && ix < in.w;
              taps += inside || node.count_include_pad ? 1 : 0;
              if (!inside) continue;
              largest = std::max(largest, x[at(in, iy, ix, c)]);
              sum += x[at(in, iy, ix, c)];
            }
          }
          out[at(node.shape, y, z, c)] = node.op == Op::max_pool ? largest : sum / static_cast<double>(taps);
        }
      }
    }
    return out;
  }

  const Graph& graph_;
};

}  // namespace qnudge::test
