// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include "qnudge/quant/network.hpp"
#include "support/primitives.hpp"

/// The integer network straight from its definition in quant/network.hpp, one image at a time, sums in int64: slow,
/// plain, and sharing no code with what it judges.
namespace qnudge::test {

/// What one node holds for one image, NHWC.
struct NaiveTensor {
  std::vector<std::int8_t> codes;  ///< empty where a layer is the network's output
  std::vector<float> values;       ///< only at the network's output: t * multiplier, or codes times 2^exponent
};

inline std::size_t naive_at(const Shape& shape, std::int64_t y, std::int64_t x, std::int64_t c) {
  return static_cast<std::size_t>((y * shape.w + x) * shape.c + c);
}

/// Half to even, then into [low, high].
inline std::int8_t naive_code(float value, int low, int high) {
  const double rounded = std::nearbyint(static_cast<double>(value));
  return static_cast<std::int8_t>(std::clamp(rounded, static_cast<double>(low), static_cast<double>(high)));
}

/// Index before spreading of spread position `at`, or -1 where there is a zero (between samples, or padding).
inline std::int64_t naive_unspread(std::int64_t at, std::int64_t spread, std::int64_t extent) {
  if (at < 0 || at % spread != 0 || at / spread >= extent) return -1;
  return at / spread;
}

/// Sum of weight code times input code for output (oy, ox, k).
inline std::int64_t naive_accumulator(const Layer& layer, std::span<const std::int8_t> input, std::int64_t oy,
                                      std::int64_t ox, std::int64_t k) {
  const Window& win = layer.conv.window;
  const FilterShape& f = layer.filter;
  const std::int64_t first_channel = k / (f.k / layer.conv.groups) * f.c;
  std::int64_t sum = 0;
  for (std::int64_t r = 0; r < f.r; ++r) {
    for (std::int64_t s = 0; s < f.s; ++s) {
      const std::int64_t y =
          naive_unspread(oy * win.stride_h - win.pad_top + r * win.dilation_h, layer.conv.spread_h, layer.in.h);
      const std::int64_t x =
          naive_unspread(ox * win.stride_w - win.pad_left + s * win.dilation_w, layer.conv.spread_w, layer.in.w);
      if (y < 0 || x < 0) continue;
      for (std::int64_t c = 0; c < f.c; ++c) {
        const std::size_t tap = static_cast<std::size_t>(((k * f.r + r) * f.s + s) * f.c + c);
        sum += std::int64_t{layer.params.codes.at(tap)} * input[naive_at(layer.in, y, x, first_channel + c)];
      }
    }
  }
  return sum;
}

inline NaiveTensor naive_conv(const IntNetwork& net, const IntNode& node, std::span<const std::int8_t> input,
                              bool is_output) {
  const Layer& layer = net.layer(node.layer());
  NaiveTensor out;
  for (std::int64_t y = 0; y < layer.out.h; ++y) {
    for (std::int64_t x = 0; x < layer.out.w; ++x) {
      for (std::int64_t k = 0; k < layer.out.c; ++k) {
        const std::size_t ku = static_cast<std::size_t>(k);
        const float t =
            static_cast<float>(naive_accumulator(layer, input, y, x, k)) + static_cast<float>(layer.params.bias.at(ku));
        const float value = t * layer.params.multiplier.at(ku);
        if (is_output) {
          out.values.push_back(node.low == 0 ? std::max(0.0F, value) : value);
        } else {
          out.codes.push_back(naive_code(value, node.low, node.high));
        }
      }
    }
  }
  return out;
}

/// Calls `use(y, x)` for each tap of the window at output (oy, ox) that lies in [-pad_before, extent + pad_after) of
/// both axes if `with_padding`, else inside the image.
inline void naive_window(const Window& win, const Shape& in, std::int64_t oy, std::int64_t ox, bool with_padding,
                         const std::function<void(std::int64_t, std::int64_t)>& use) {
  const Window none;
  const Window& pad = with_padding ? win : none;
  for (std::int64_t r = 0; r < win.r; ++r) {
    for (std::int64_t s = 0; s < win.s; ++s) {
      const std::int64_t y = oy * win.stride_h - win.pad_top + r * win.dilation_h;
      const std::int64_t x = ox * win.stride_w - win.pad_left + s * win.dilation_w;
      const bool inside =
          y >= -pad.pad_top && y < in.h + pad.pad_bottom && x >= -pad.pad_left && x < in.w + pad.pad_right;
      if (inside) use(y, x);
    }
  }
}

inline std::int64_t naive_divisor(const IntNode& node, const Shape& in, std::int64_t oy, std::int64_t ox) {
  const IntWindow& pool = window_of(node);
  std::int64_t taps = 0;
  naive_window(pool.window, in, oy, ox, pool.count_include_pad, [&](std::int64_t, std::int64_t) { ++taps; });
  return taps;
}

/// True if every window has the divisor of the first one: then `multiplier` holds for all of them.
inline bool naive_constant_divisor(const IntNode& node, const Shape& in) {
  for (std::int64_t y = 0; y < node.shape.h; ++y) {
    for (std::int64_t x = 0; x < node.shape.w; ++x) {
      if (naive_divisor(node, in, y, x) != naive_divisor(node, in, 0, 0)) return false;
    }
  }
  return true;
}

inline NaiveTensor naive_pool(const IntNetwork& net, const IntNode& node, std::span<const std::int8_t> input) {
  const IntNode& from = net.at(node.inputs.at(0));
  const Shape& in = from.shape;
  const IntWindow& pool = window_of(node);
  const bool constant = pool.kind == WindowKind::average && naive_constant_divisor(node, in);
  NaiveTensor out;
  for (std::int64_t oy = 0; oy < node.shape.h; ++oy) {
    for (std::int64_t ox = 0; ox < node.shape.w; ++ox) {
      for (std::int64_t c = 0; c < in.c; ++c) {
        std::int64_t sum = 0;
        std::int8_t largest = std::numeric_limits<std::int8_t>::min();
        naive_window(pool.window, in, oy, ox, false, [&](std::int64_t y, std::int64_t x) {
          sum += input[naive_at(in, y, x, c)];
          largest = std::max(largest, input[naive_at(in, y, x, c)]);
        });
        if (pool.kind == WindowKind::max) {
          out.codes.push_back(largest);
          continue;
        }
        const double exact = std::ldexp(1.0, from.exponent - node.exponent) /
                             static_cast<double>(std::max<std::int64_t>(1, naive_divisor(node, in, oy, ox)));
        const float multiplier = constant ? pool.multiplier : static_cast<float>(exact);
        out.codes.push_back(naive_code(static_cast<float>(sum) * multiplier, -128, 127));
      }
    }
  }
  return out;
}

inline NaiveTensor naive_add(const IntNode& node, const NaiveTensor& a, const NaiveTensor& b) {
  NaiveTensor out;
  for (std::size_t i = 0; i < a.codes.size(); ++i) {
    const float left = static_cast<float>(a.codes[i]) * combine_of(node).multiplier_a;
    const float right = static_cast<float>(b.codes.at(i)) * combine_of(node).multiplier_b;
    out.codes.push_back(naive_code(left + right, node.low, node.high));
  }
  return out;
}

inline NaiveTensor naive_concat(const IntNetwork& net, const IntNode& node, const std::vector<NaiveTensor>& tensors) {
  NaiveTensor out;
  for (std::int64_t y = 0; y < node.shape.h; ++y) {
    for (std::int64_t x = 0; x < node.shape.w; ++x) {
      for (const int i : node.inputs) {
        const Shape& in = net.at(i).shape;
        for (std::int64_t c = 0; c < in.c; ++c) {
          out.codes.push_back(tensors.at(static_cast<std::size_t>(i)).codes.at(naive_at(in, y, x, c)));
        }
      }
    }
  }
  return out;
}

inline NaiveTensor naive_table(const IntNode& node, const NaiveTensor& x) {
  const IntTable& table = table_of(node);
  NaiveTensor out;
  for (const std::int8_t code : x.codes) {
    out.codes.push_back(table.function.is_identity() ? std::clamp(code, node.low, node.high)
                                                     : table.codes.at(static_cast<std::size_t>(code + 128)));
  }
  return out;
}

/// Every node's tensor for one image of input codes, NHWC.
inline std::vector<NaiveTensor> naive_run(const IntNetwork& net, std::span<const std::int8_t> input) {
  if (static_cast<std::int64_t>(input.size()) != net.at(0).shape.size()) {
    throw std::invalid_argument("naive_run: the image does not have the network's input shape");
  }
  std::vector<NaiveTensor> tensors;
  for (std::size_t i = 0; i < net.nodes.size(); ++i) {
    const IntNode& node = net.nodes[i];
    const bool is_output = static_cast<int>(i) == net.output;
    const auto in = [&](std::size_t j) -> const NaiveTensor& {
      return tensors.at(static_cast<std::size_t>(node.inputs.at(j)));
    };
    NaiveTensor out =
        std::visit(Overloaded{[&](const IntInput&) {
                                return NaiveTensor{{input.begin(), input.end()}, {}};
                              },
                              [&](const IntLayer&) { return naive_conv(net, node, in(0).codes, is_output); },
                              [&](const IntTable&) { return naive_table(node, in(0)); },
                              [&](const IntCombine&) { return naive_add(node, in(0), in(1)); },
                              [&](const IntWindow&) { return naive_pool(net, node, in(0).codes); },
                              [&](const IntMove&) {
                                return node.view() ? NaiveTensor{in(0).codes, {}} : naive_concat(net, node, tensors);
                              }},
                   node.what);
    if (is_output && node.layer() < 0) {
      for (const std::int8_t code : out.codes)
        out.values.push_back(std::ldexp(static_cast<float>(code), node.exponent));
    }
    tensors.push_back(std::move(out));
  }
  return tensors;
}

}  // namespace qnudge::test
