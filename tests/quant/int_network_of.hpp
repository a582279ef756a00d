// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "qnudge/model/functions.hpp"
#include "qnudge/quant/quantise.hpp"

/// Integer networks written by hand, with random codes.
namespace qnudge::test {

struct ConvOf {
  std::int64_t k = 4, r = 3, s = 3;
  std::int64_t stride = 1, pad = 1, dilation = 1, groups = 1;
  std::int64_t spread = 0;  ///< > 0: transposed, `pad` as ONNX counts it, and output padding
  std::int64_t output_padding = 0;
  int bits = 8;
  bool per_channel = true;
  int low = -128, high = 127;
  int exponent = -4;
};

class IntNetworkOf {
 public:
  IntNetworkOf(Shape input, int spatial_rank = 2, int exponent = -5) : engine_(17) {
    net_.spatial_rank = spatial_rank;
    net_.input_name = "image";
    net_.output_name = "logits";
    IntNode node;
    node.name = "image";
    node.shape = input;
    append(node, exponent);
  }

  int conv(int from, ConvOf o) {
    Layer layer;
    const Shape in = shape(from);
    const bool one = net_.spatial_rank == 1;
    layer.conv.groups = o.groups;
    layer.filter = {o.k, o.r, one ? 1 : o.s, in.c / o.groups};
    Window& w = layer.conv.window;
    w.r = layer.filter.r;
    w.s = layer.filter.s;
    w.dilation_h = o.dilation;
    w.dilation_w = one ? 1 : o.dilation;
    w.pad_top = w.pad_bottom = w.pad_left = w.pad_right = o.pad;
    if (o.spread > 0) {
      layer.conv.transposed = true;
      layer.conv.spread_h = layer.conv.spread_w = o.spread;
      w.pad_top = o.dilation * (w.r - 1) - o.pad;
      w.pad_bottom = w.pad_top + o.output_padding;
      w.pad_left = o.dilation * (w.s - 1) - o.pad;
      w.pad_right = w.pad_left + o.output_padding;
    } else {
      w.stride_h = w.stride_w = o.stride;
    }
    if (one) {
      w.pad_left = w.pad_right = 0;
      w.stride_w = layer.conv.spread_w = 1;
    }
    return add_layer(from, std::move(layer), o);
  }

  int gemm(int from, ConvOf o) {
    Layer layer;
    const Shape in = shape(from);
    layer.gemm = true;
    layer.filter = {o.k, in.h, in.w, in.c};
    layer.conv.window.r = in.h;
    layer.conv.window.s = in.w;
    return add_layer(from, std::move(layer), o);
  }

  int pool(int from, WindowKind kind, Window w, int exponent, bool count_include_pad = false) {
    IntNode node = make(IntWindow{kind, w, count_include_pad}, {from});
    node.shape = slide(shape(from), w, shape(from).c);
    return append(node, exponent);
  }
  int global_average(int from, int exponent) {
    Window w;
    w.r = shape(from).h;
    w.s = shape(from).w;
    return pool(from, WindowKind::average, w, exponent);
  }

  int add(int a, int b, int exponent, int low = -128, int high = 127) {
    return append(bounded(make(IntCombine{}, {a, b}), exponent, low, high), exponent);
  }
  /// Two inputs that broadcast.
  int combine(CombineKind kind, int a, int b, int exponent, int low = -128, int high = 127) {
    IntNode node = make(IntCombine{.kind = kind}, {a, b});
    const Shape &s = shape(a), &t = shape(b);
    node.shape = {std::max(s.h, t.h), std::max(s.w, t.w), std::max(s.c, t.c)};
    std::get<IntCombine>(node.what).broadcast = s != node.shape || t != node.shape;
    return append(bounded(std::move(node), exponent, low, high), exponent);
  }
  int with_constant(CombineKind kind, int from, const Shape& of, bool first, int exponent) {
    IntCombine what{.kind = kind};
    what.constant_shape = of;
    what.constant_first = first;
    what.broadcast = of != shape(from);
    std::uniform_int_distribution<int> code(-100, 100);
    for (std::int64_t i = 0; i < of.size(); ++i)
      what.constant.push_back(std::ldexp(static_cast<float>(code(engine_) | 1), -6));
    return append(make(std::move(what), {from}), exponent);
  }
  int table(int from, const ScalarFunction& function, int exponent, const ChannelValues& parameters = {}) {
    return append(make(IntTable{.function = function, .parameters = parameters, .codes = {}, .halves = {}}, {from}),
                  exponent);
  }
  int clamp(int from, int low, int high) {
    const int exponent = exponents_[static_cast<std::size_t>(from)];
    return append(bounded(make(IntTable{}, {from}), exponent, low, high), exponent);
  }
  int concat(const std::vector<int>& from) {
    std::vector<Shape> shapes;
    for (const int i : from) shapes.push_back(shape(i));
    IntNode node = make(IntMove{joined_channels(shapes)}, from);
    node.shape.c = 0;
    for (const Shape& in : shapes) node.shape.c += in.c;
    return append(node, exponents_[static_cast<std::size_t>(from[0])]);
  }
  int resize(int from, const FloatMix& mix) {
    IntNode node = make(IntMix{mix}, {from});
    node.shape.h = ResizeAxis::resized(shape(from).h, mix.scale_h);
    node.shape.w = ResizeAxis::resized(shape(from).w, mix.scale_w);
    return append(std::move(node), exponents_[static_cast<std::size_t>(from)]);
  }
  int sigmoid(int from, int exponent = -7) {
    return append(make(IntTable{.function = sigmoid_function()}, {from}), exponent);
  }
  int product(int a, int b, FloatProduct product, std::int64_t columns, int exponent) {
    IntNode node = make(IntProduct{.product = product}, {a, b});
    node.shape.c = columns;
    return append(node, exponent);
  }
  int softmax(int from, int exponent = -7) {
    return append(make(IntNormalise{.normalise = {.kind = NormaliseKind::softmax, .channels = shape(from).c}}, {from}),
                  exponent);
  }
  /// With gains from 0.5 and shifts from -0.25 upwards.
  int normalise(int from, NormaliseKind kind, bool area, std::int64_t channels, int exponent, int low = -128) {
    FloatNormalise what{.kind = kind, .area = area, .channels = channels, .epsilon = 1e-5f};
    for (std::int64_t c = 0; c < shape(from).c; ++c) {
      what.gain.push_back(0.5f + 0.1f * static_cast<float>(c));
      what.shift.push_back(-0.25f + 0.05f * static_cast<float>(c));
    }
    return append(bounded(make(IntNormalise{.normalise = std::move(what)}, {from}), exponent, low, 127), exponent);
  }
  int view(int from) { return append(make(IntMove{}, {from}), exponents_[static_cast<std::size_t>(from)]); }

  /// The network whose output is `output`.
  IntNetwork finish(int output) {
    net_.output = output;
    if (net_.float_output()) exponents_[static_cast<std::size_t>(output)] = 0;
    set_exponents(net_, exponents_);
    return net_;
  }

 private:
  const Shape& shape(int i) const { return net_.at(i).shape; }

  IntNode make(IntPrimitive what, std::vector<int> inputs) const {
    IntNode node;
    node.what = std::move(what);
    node.name = std::string(kind_of(node)) + "_" + std::to_string(net_.nodes.size());
    node.shape = shape(inputs[0]);
    node.inputs = std::move(inputs);
    return node;
  }
  static IntNode bounded(IntNode node, int exponent, int low, int high) {
    node.low = static_cast<std::int8_t>(low);
    node.high = static_cast<std::int8_t>(high);
    if (low != 0 && low != -128) node.clip_low = std::ldexp(low, exponent);
    if (high != 0 && high != 127) node.clip_high = std::ldexp(high, exponent);
    return node;
  }
  int append(IntNode node, int exponent) {
    net_.nodes.push_back(std::move(node));
    exponents_.push_back(exponent);
    return static_cast<int>(net_.nodes.size()) - 1;
  }
  int add_layer(int from, Layer layer, const ConvOf& o) {
    IntNode node = bounded(make(IntLayer{static_cast<int>(net_.layers.size())}, {from}), o.exponent, o.low, o.high);
    layer.name = node.name;
    layer.in = shape(from);
    layer.out = slide(layer.in, layer.conv.window, o.k, layer.conv.spread_h, layer.conv.spread_w);
    layer.node = static_cast<int>(net_.nodes.size());
    node.shape = layer.out;
    fill(layer, o);
    net_.layers.push_back(std::move(layer));
    return append(std::move(node), o.exponent);
  }

  void fill(Layer& layer, const ConvOf& o) {
    LayerParams& p = layer.params;
    p.bits = o.bits;
    const int half = 1 << (o.bits - 1);
    std::uniform_int_distribution<int> code(-half, half - 1);
    for (std::int64_t i = 0; i < layer.filter.size(); ++i) p.codes.push_back(static_cast<std::int8_t>(code(engine_)));
    // Spreads the outputs over most of the codes, some beyond.
    const double spread = std::sqrt(static_cast<double>(layer.filter.taps())) * 0.58 * half * 60;
    std::uniform_real_distribution<double> around(0.5, 2.0), offset(-0.5, 0.5);
    const double common = 70 / spread * around(engine_);
    for (std::int64_t k = 0; k < layer.filter.k; ++k) {
      p.multiplier.push_back(static_cast<float>(o.per_channel ? common * around(engine_) : common));
      p.bias.push_back(static_cast<std::int32_t>(spread * offset(engine_)));
    }
    p.scale = p.multiplier;
    p.frozen.assign(p.bias.size(), 0);
    layer.gain.assign(p.bias.size(), 1.0);
    layer.shift.assign(p.bias.size(), 0.0);
  }

  IntNetwork net_;
  std::vector<int> exponents_;
  std::mt19937_64 engine_;
};

}  // namespace qnudge::test
