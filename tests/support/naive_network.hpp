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
#include "support/naive_attention.hpp"
#include "support/naive_mix.hpp"
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
  if (pool.kind == WindowKind::sum) return 1;
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
  const bool constant = pool.kind != WindowKind::max && naive_constant_divisor(node, in);
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

/// The value that two operands have at (y, x, c) of the result; an axis of extent 1 is repeated.
template <class F>
void naive_operands(const Shape& out, const Shape& a, const Shape& b, const F& f) {
  const auto at = [](const Shape& s, std::int64_t y, std::int64_t x, std::int64_t c) {
    return naive_at(s, s.h == 1 ? 0 : y, s.w == 1 ? 0 : x, s.c == 1 ? 0 : c);
  };
  for (std::int64_t y = 0; y < out.h; ++y) {
    for (std::int64_t x = 0; x < out.w; ++x) {
      for (std::int64_t c = 0; c < out.c; ++c) f(at(a, y, x, c), at(b, y, x, c));
    }
  }
}

/// Before rounding, of operands in units of their scales.
inline float naive_combined(const IntCombine& combine, float a, float b) {
  switch (combine.kind) {
    case CombineKind::add:
      return a * combine.multiplier_a + b * combine.multiplier_b;
    case CombineKind::subtract:
      return a * combine.multiplier_a - b * combine.multiplier_b;
    case CombineKind::multiply:
      return a * b * combine.multiplier_a;
    case CombineKind::divide:
      if (b != 0) return a / b * combine.multiplier_a;
      return a == 0 ? 0 : std::copysign(1e30f, a);
    case CombineKind::minimum:
      return std::min(a * combine.multiplier_a, b * combine.multiplier_b);
    case CombineKind::maximum:
      return std::max(a * combine.multiplier_a, b * combine.multiplier_b);
  }
  throw std::invalid_argument("naive_combined: no such kind");
}

/// input(i): elements of input i, as T; constant: the node's own operand. f(a, b) receives pairs in order.
template <class Values, class F>
void naive_pairs(const IntNetwork& net, const IntNode& node, const std::vector<const Values*>& inputs,
                 const Values& constant, const F& f) {
  const IntCombine& combine = combine_of(node);
  std::vector<const Values*> values = inputs;
  std::vector<Shape> shapes;
  for (const int in : node.inputs) shapes.push_back(net.at(in).shape);
  if (!combine.constant.empty()) {
    values.insert(combine.constant_first ? values.begin() : values.end(), &constant);
    shapes.insert(combine.constant_first ? shapes.begin() : shapes.end(), combine.constant_shape);
  }
  naive_operands(node.shape, shapes.at(0), shapes.at(1),
                 [&](std::size_t a, std::size_t b) { f(values.at(0)->at(a), values.at(1)->at(b)); });
}

inline NaiveTensor naive_combine(const IntNetwork& net, const IntNode& node, const std::vector<NaiveTensor>& tensors) {
  NaiveTensor out;
  std::vector<const std::vector<std::int8_t>*> inputs;
  for (const int in : node.inputs) inputs.push_back(&tensors.at(static_cast<std::size_t>(in)).codes);
  naive_pairs(net, node, inputs, combine_of(node).codes, [&](std::int8_t a, std::int8_t b) {
    const float value = naive_combined(combine_of(node), static_cast<float>(a), static_cast<float>(b));
    out.codes.push_back(naive_code(std::clamp(value, -1e6f, 1e6f), node.low, node.high));
  });
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
  for (std::size_t i = 0; i < x.codes.size(); ++i) {
    const std::int8_t code = x.codes[i];
    const std::size_t row = table.parameters.empty() ? 0 : i % static_cast<std::size_t>(node.shape.c);
    out.codes.push_back(table.function.is_identity()
                            ? std::clamp(code, node.low, node.high)
                            : table.codes.at(row * 256 + static_cast<std::size_t>(code + 128)));
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
    NaiveTensor out = std::visit(
        Overloaded{[&](const IntInput&) {
                     return NaiveTensor{{input.begin(), input.end()}, {}};
                   },
                   [&](const IntLayer&) { return naive_conv(net, node, in(0).codes, is_output); },
                   [&](const IntTable&) { return naive_table(node, in(0)); },
                   [&](const IntCombine&) { return naive_combine(net, node, tensors); },
                   [&](const IntWindow&) { return naive_pool(net, node, in(0).codes); },
                   [&](const IntMove&) {
                     return node.view() ? NaiveTensor{in(0).codes, {}} : naive_concat(net, node, tensors);
                   },
                   [&](const IntMix& m) {
                     NaiveTensor mixed;
                     const Shape& from = net.at(node.inputs[0]).shape;
                     for (const double value : naive_mix_fixed(m.mix, from, node.shape, in(0).codes)) {
                       mixed.codes.push_back(static_cast<std::int8_t>(std::nearbyint(value)));
                     }
                     return mixed;
                   },
                   [&](const IntProduct& p) {
                     NaiveTensor product;
                     for (const std::int64_t sum : naive_product<std::int64_t, std::int8_t>(
                              p.product, net.at(node.inputs[0]).shape, net.at(node.inputs[1]).shape, in(0).codes,
                              in(1).codes)) {
                       product.codes.push_back(naive_code(static_cast<float>(sum) * p.multiplier, node.low, node.high));
                     }
                     return product;
                   },
                   [&](const IntNormalise&) {
                     return NaiveTensor{naive_normalise_codes(node, net.at(node.inputs[0]).exponent, in(0).codes), {}};
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
