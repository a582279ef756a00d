// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "qnudge/model/graph.hpp"
#include "support/primitives.hpp"

namespace qnudge::test {

/// Builds one random float network; see `random_graph`.
class RandomGraphBuilder {
 public:
  explicit RandomGraphBuilder(std::uint64_t seed, bool with_attention = true)
      : engine_(seed), with_attention_(with_attention) {
    graph_.fingerprint = "random-" + std::to_string(seed);
    graph_.input_name = "input";
    graph_.output_name = "output";
    graph_.spatial_rank = chance(20) ? 1 : 2;
    Node input;
    input.name = graph_.input_name;
    input.shape = {pick(4, 12), flat() ? 1 : pick(4, 12), pick(1, 6)};
    graph_.nodes.push_back(input);
  }

  Graph build() {
    int at = chance(85) ? conv(0, pick(2, 12), kAny) : 0;
    at = activate(at);
    while (graph_.nodes.size() < 8 && !chance(15)) at = grow(at);
    graph_.output = finish(at);
    return std::move(graph_);
  }

 private:
  static constexpr std::size_t kMaxNodes = 16;
  enum Extent { kAny, kSame };

  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return pick(0, 99) < percent; }
  float real(float low, float high) {
    return low + (high - low) * (static_cast<float>(engine_() >> 40) / static_cast<float>(1 << 24));
  }
  bool flat() const { return graph_.spatial_rank == 1; }
  const Shape& shape(int i) const { return graph_.nodes[static_cast<std::size_t>(i)].shape; }

  /// `stated`: the shape of a move, if not that of its input.
  int append(FloatPrimitive what, std::vector<int> inputs, Shape stated = {}) {
    Node node;
    node.what = std::move(what);
    node.name = std::string(kind_of(node)) + "_" + std::to_string(graph_.nodes.size());
    node.inputs = std::move(inputs);
    std::vector<Shape> shapes;
    for (const int i : node.inputs) shapes.push_back(shape(i));
    node.shape = stated == Shape{} ? shapes[0] : stated;
    node.shape = shape_of(node, shapes);
    graph_.nodes.push_back(std::move(node));
    return static_cast<int>(graph_.nodes.size()) - 1;
  }

  void fill(FloatLayer& node) {
    const auto taps = static_cast<float>(node.filter.taps());
    node.weights.resize(static_cast<std::size_t>(node.filter.size()));
    for (float& w : node.weights) w = real(-2.0f, 2.0f) / std::sqrt(taps);
    if (chance(10)) {  // a dead channel
      const auto k = pick(0, node.filter.k - 1) * node.filter.taps();
      for (std::int64_t i = 0; i < node.filter.taps(); ++i) node.weights[static_cast<std::size_t>(k + i)] = 0;
    }
    node.bias.assign(static_cast<std::size_t>(node.filter.k), 0.0f);
    if (chance(60)) {
      for (float& b : node.bias) b = real(-0.5f, 0.5f);
    }
  }

  Window random_window(const Shape& in, Extent extent) {
    Window w;
    w.r = pick(0, 1) * 2 + 1;
    w.s = flat() ? 1 : (chance(80) ? w.r : 3);
    if (in.h > 4 && chance(20)) w.dilation_h = 2;
    if (in.w > 4 && chance(20)) w.dilation_w = 2;
    w.pad_top = w.pad_bottom = w.dilation_h * (w.r - 1) / 2;
    w.pad_left = w.pad_right = w.dilation_w * (w.s - 1) / 2;
    if (extent == kSame) return w;
    if (in.h > 3 && chance(30)) w.stride_h = 2;
    if (in.w > 3 && !flat() && chance(30)) w.stride_w = 2;
    if (chance(25)) w.pad_top = pick(0, 2);
    if (!flat() && chance(25)) w.pad_right = pick(0, 2);
    return w;
  }

  int conv(int from, std::int64_t channels, Extent extent) {
    const Shape in = shape(from);
    FloatLayer layer;
    if (chance(20)) {  // depthwise, sometimes with two outputs per input
      layer.conv.groups = in.c;
      channels = extent == kSame ? channels : in.c * (in.c <= 6 ? pick(1, 2) : 1);
    } else if (in.c % 2 == 0 && channels % 2 == 0 && chance(20)) {
      layer.conv.groups = 2;
    }
    if (channels % layer.conv.groups != 0) layer.conv.groups = 1;
    layer.conv.window = random_window(in, extent);
    const Shape out = slide(in, layer.conv.window, channels);
    if (out.h < 1 || out.w < 1) layer.conv.window = Window{};
    layer.filter = {channels, layer.conv.window.r, layer.conv.window.s, in.c / layer.conv.groups};
    fill(layer);
    return append(std::move(layer), {from});
  }

  int transposed_conv(int from) {
    const Shape in = shape(from);
    FloatLayer layer;
    Window& w = layer.conv.window;
    const auto axis = [&](std::int64_t& taps, std::int64_t& spread, std::int64_t& before, std::int64_t& after,
                          std::int64_t extent) {
      taps = pick(2, 4);
      spread = extent <= 6 ? pick(1, 2) : 1;
      before = taps - 1 - pick(0, 1);
      after = taps - 1 - pick(0, 1) + pick(0, spread - 1);
    };
    axis(w.r, layer.conv.spread_h, w.pad_top, w.pad_bottom, in.h);
    if (!flat()) axis(w.s, layer.conv.spread_w, w.pad_left, w.pad_right, in.w);
    layer.conv.transposed = true;
    layer.conv.groups = in.c % 2 == 0 && chance(25) ? 2 : 1;
    const std::int64_t channels = pick(1, 4) * 2;
    const Shape out = slide(in, w, channels, layer.conv.spread_h, layer.conv.spread_w);
    if (out.h < 1 || out.w < 1) return conv(from, channels, kAny);
    layer.filter = {channels, w.r, w.s, in.c / layer.conv.groups};
    fill(layer);
    return append(std::move(layer), {from});
  }

  int batch_norm(int from) {
    FloatBatchNorm norm;
    for (std::int64_t c = 0; c < shape(from).c; ++c) {
      const auto kind = pick(0, 19);
      norm.scale.push_back(kind == 0 ? 0.0f : (kind == 1 ? 1e-12f : (kind < 5 ? -1.0f : 1.0f) * real(0.4f, 1.6f)));
      norm.shift.push_back(real(-0.6f, 0.6f));
    }
    return append(std::move(norm), {from});
  }

  int clip(int from, float low, float high) {
    return append(clip_table(static_cast<double>(low), static_cast<double>(high)), {from});
  }

  int activate(int from) {
    int at = chance(60) ? batch_norm(from) : from;
    if (chance(10))
      at = clip(at, 0.0f, 1.5f);
    else if (chance(75))
      at = append(relu_table(), {at});
    return at;
  }

  int add(int a, int b) {
    const int sum = append(FloatCombine{}, chance(50) ? std::vector<int>{a, b} : std::vector<int>{b, a});
    return chance(60) ? append(relu_table(), {sum}) : (chance(15) ? clip(sum, 0.0f, 2.0f) : sum);
  }

  int residual_block(int from) {
    int branch = conv(from, shape(from).c, chance(50) ? kSame : kAny);
    branch = chance(50) ? batch_norm(branch) : branch;
    if (shape(branch) == shape(from)) return add(branch, from);
    return add(branch, shortcut(from, branch));
  }

  /// 1x1 convolution, strided where the branch is; where strides cannot reach its extent, a branch of its own weights.
  int shortcut(int from, int branch) {
    const Node& like = graph_.nodes[static_cast<std::size_t>(branch)];
    FloatLayer layer;
    Window& w = layer.conv.window;
    w.stride_h = like.shape.h < shape(from).h ? 2 : 1;
    w.stride_w = like.shape.w < shape(from).w ? 2 : 1;
    w.pad_bottom = (like.shape.h - 1) * w.stride_h + 1 - shape(from).h;
    w.pad_right = (like.shape.w - 1) * w.stride_w + 1 - shape(from).w;
    w.pad_bottom = w.pad_bottom > 0 ? w.pad_bottom : 0;
    w.pad_right = w.pad_right > 0 ? w.pad_right : 0;
    if (!(slide(shape(from), w, like.shape.c) == like.shape)) return branch;
    layer.filter = {like.shape.c, 1, 1, shape(from).c};
    fill(layer);
    const int at = append(std::move(layer), {from});
    return graph_.nodes.size() < kMaxNodes - 5 && chance(40) ? batch_norm(at) : at;
  }

  int sum(int from) {
    FloatWindow sum{.kind = WindowKind::sum};
    sum.window.r = chance(70) ? shape(from).h : 1;
    sum.window.s = chance(70) ? shape(from).w : 1;
    return append(sum, {from});
  }

  int pool(int from, Extent extent, bool maximum) {
    const Shape in = shape(from);
    FloatWindow pool{.kind = maximum ? WindowKind::max : WindowKind::average};
    Window& w = pool.window;
    w.r = extent == kSame || in.h < 2 ? 1 + 2 * pick(0, in.h > 2 ? 1 : 0) : pick(2, in.h < 3 ? 2 : 3);
    w.s = flat() ? 1 : (extent == kSame || in.w < 2 ? 1 + 2 * pick(0, in.w > 2 ? 1 : 0) : pick(2, in.w < 3 ? 2 : 3));
    if (extent == kSame) {
      w.pad_top = w.pad_bottom = w.r / 2;
      w.pad_left = w.pad_right = w.s / 2;
    } else {
      w.stride_h = w.r > 1 ? pick(1, 2) : 1;
      w.stride_w = w.s > 1 ? pick(1, 2) : 1;
      if (w.r == 3) w.pad_top = pick(0, 1);
      if (w.s == 3) w.pad_right = pick(0, 1);
    }
    pool.count_include_pad = !maximum && chance(50);
    return append(pool, {from});
  }

  int concat(int from) {
    int a = conv(from, pick(1, 6), kSame);
    a = chance(50) ? append(relu_table(), {a}) : a;
    const int b = chance(40) ? from : (chance(50) ? pool(from, kSame, chance(50)) : conv(from, pick(1, 4), kSame));
    if (shape(a).c + shape(b).c > 16) return a == b ? a : add(conv(a, shape(b).c, kSame), b);
    const Shape parts[] = {shape(a), shape(b)};
    return append(FloatMove{joined_channels(parts)}, {a, b}, {parts[0].h, parts[0].w, parts[0].c + parts[1].c});
  }

  using Op = ScalarFunction::Op;
  using F = ScalarFunction;

  /// An activation function as exporters spell it, in one operator or several.
  int function(int from) {
    const F x;
    const auto scaled = [&](double by, const F& f) { return F::of(Op::multiply, F::constant(by), f); };
    const auto below = F::of(Op::minimum, x, F::constant(0)), above = F::of(Op::maximum, x, F::constant(0));
    switch (pick(0, 6)) {
      case 0:
        return append(FloatTable{F::of(Op::multiply, x, F::of(Op::sigmoid, x)), {}}, {from});
      case 1:
        return append(FloatTable{F::of(Op::hyperbolic_tangent, x), {}}, {from});
      case 2:
        return append(
            FloatTable{scaled(0.5, F::of(Op::multiply, x,
                                         F::of(Op::add, F::of(Op::error_function, scaled(0.75, x)), F::constant(1)))),
                       {}},
            {from});
      case 3:
        return append(FloatTable{F::of(Op::add, above, scaled(0.125, below)), {}}, {from});
      case 4:
        return append(
            FloatTable{
                F::of(Op::divide, F::of(Op::multiply, x, clip_function(0, 6).after(F::of(Op::add, x, F::constant(3)))),
                      F::constant(6)),
                {}},
            {from});
      case 5:
        return append(FloatTable{F::of(Op::square_root, F::of(Op::absolute, x)), {}}, {from});
      default:
        break;
    }
    if (shape(from).c > 4) return append(FloatTable{F::of(Op::negate, x), {}}, {from});
    FloatTable slopes{F::of(Op::add, above, F::of(Op::multiply, F::parameter(0), below)), {{}}};
    for (std::int64_t c = 0; c < shape(from).c; ++c)
      slopes.parameters[0].push_back(static_cast<double>(real(-0.5f, 0.5f)));
    return append(std::move(slopes), {from});
  }

  CombineKind any_kind() {
    const CombineKind kinds[] = {CombineKind::add, CombineKind::subtract, CombineKind::multiply, CombineKind::minimum,
                                 CombineKind::maximum};
    return kinds[pick(0, 4)];
  }

  int combine(CombineKind kind, int a, int b) {
    const int y = append(FloatCombine{.kind = kind}, chance(50) ? std::vector<int>{a, b} : std::vector<int>{b, a});
    return chance(30) ? append(relu_table(), {y}) : y;
  }

  /// One tensor times (or otherwise with) another that is repeated over space, over channels or both.
  int gated(int from) {
    const auto kind = chance(60) ? CombineKind::multiply : any_kind();
    if (chance(35)) return combine(kind, from, append(sigmoid_table(), {conv(from, 1, kSame)}));
    const int gate = conv(global_average(from), chance(75) ? shape(from).c : 1, kSame);
    const bool whole = shape(gate).c == shape(from).c || shape(gate).c == 1;  // a depthwise one may have more
    return whole ? combine(kind, from, chance(70) ? append(sigmoid_table(), {gate}) : gate) : gate;
  }

  /// With a constant of the tensor's shape, one per channel, one per pixel, or a single one.
  int with_constant(int from) {
    const Shape in = shape(from), shapes[] = {in, {1, 1, in.c}, {in.h, in.w, 1}, {1, 1, 1}};
    FloatCombine node{.kind = chance(30) ? CombineKind::divide : any_kind()};
    node.constant_shape = shapes[pick(0, 3)];
    const float reach = chance(50) ? 0.75f : 3.0f;
    for (std::int64_t i = 0; i < node.constant_shape.size(); ++i) {
      node.constant.push_back((chance(50) ? 1.0f : -1.0f) * real(0.25f, reach));
    }
    node.constant_first = node.kind != CombineKind::divide && chance(40);
    const int y = append(std::move(node), {from});
    return chance(30) ? append(relu_table(), {y}) : y;
  }

  int elementwise(int from) {
    const auto kind = pick(0, 9);
    if (kind < 3) return function(from);
    if (kind < 6) return gated(from);
    if (kind < 8) return with_constant(from);
    const int other = conv(from, shape(from).c, kSame);
    return shape(other) == shape(from) ? combine(any_kind(), from, other) : other;
  }

  FloatNormalise normalise(const Shape& s) {
    FloatNormalise n;
    const auto kind = pick(0, 9);
    n.kind = kind < 2 ? NormaliseKind::softmax : kind < 8 ? NormaliseKind::standard : NormaliseKind::root_mean_square;
    n.area = chance(50);
    n.channels = !n.area ? s.c : s.c % 2 == 0 && chance(50) ? s.c / 2 : chance(50) ? 1 : s.c;
    if (n.kind == NormaliseKind::softmax) return n;
    n.epsilon = chance(50) ? 1e-5f : 1e-2f;
    for (std::int64_t c = 0; c < s.c; ++c) {
      n.gain.push_back(real(0.3f, 1.2f));
      n.shift.push_back(real(-0.5f, 0.5f));
    }
    return n;
  }

  FloatNormalise softmax(std::int64_t channels) { return {.kind = NormaliseKind::softmax, .channels = channels}; }

  /// Shares of all pixels for each pixel, of all or of those in its row.
  int attention(int from) {
    const Shape in = shape(from);
    const std::int64_t batch = chance(50) ? 1 : in.h;
    const float scale = chance(50) ? 1.0f : 1.0f / std::sqrt(static_cast<float>(in.c));
    const int queries = conv(from, in.c, kSame), keys = chance(50) ? queries : conv(from, in.c, kSame);
    if (!(shape(queries) == in) || !(shape(keys) == in)) return queries;
    const int scores = append(FloatProduct{.batch = batch, .b_rows = true, .scale = scale}, {queries, keys});
    const int shares = append(softmax(shape(scores).c), {scores});
    return append(FloatProduct{.batch = batch}, {shares, chance(50) ? from : keys});
  }

  int resize(int from) {
    const float factors[] = {2.0f, 1.5f, 1.375f, 0.625f, 0.5f};
    FloatMix mix{static_cast<ResizeCoordinates>(pick(0, 4)), 1, 1};
    if (shape(from).h > 1) mix.scale_h = factors[pick(0, 4)];
    if (shape(from).w > 1) mix.scale_w = factors[pick(0, 4)];
    return append(mix, {from});
  }

  int grow(int at) {
    if (with_attention_ && chance(20)) {
      if (chance(40)) return attention(at);
      if (chance(15)) return sum(at);
      const int normal = append(normalise(shape(at)), {at});
      return chance(40) ? append(relu_table(), {normal}) : normal;
    }
    if (with_attention_ && chance(10) && shape(at).h <= 12 && shape(at).w <= 12) return resize(at);
    if (chance(25)) return elementwise(at);
    const auto kind = pick(0, 99);
    if (kind < 30) return activate(conv(at, pick(1, 12), kAny));
    if (kind < 55) return residual_block(at);
    if (kind < 65) return concat(at);
    if (kind < 75) return pool(at, kAny, chance(60));
    if (kind < 83) return transposed_conv(at);
    if (kind < 90) return append(relu_table(), {batch_norm(at)});
    if (kind < 95) return clip(at, chance(50) ? -0.5f : 0.25f, 1.0f);
    return append(sigmoid_table(), {at});
  }

  int global_average(int from) {
    return append(FloatWindow{WindowKind::average, {.r = shape(from).h, .s = shape(from).w}}, {from});
  }

  int gemm(int from) {
    FloatLayer layer{.gemm = true};
    const Shape in = shape(from);
    layer.filter = {pick(2, 10), in.h, in.w, in.c};
    layer.conv.window.r = in.h;
    layer.conv.window.s = in.w;
    fill(layer);
    return append(std::move(layer), {from});
  }

  int perhaps_flat(int at) { return chance(30) ? append(FloatMove{}, {at}) : at; }

  int finish(int at) {
    const auto kind = pick(0, 9);
    if (kind < 5) return gemm(append(FloatMove{}, {chance(50) ? global_average(at) : at}));
    if (kind == 5) return perhaps_flat(conv(at, pick(2, 6), kAny));
    if (kind == 6) return perhaps_flat(append(relu_table(), {conv(at, pick(2, 6), kAny)}));
    if (kind == 7) return perhaps_flat(clip(conv(at, pick(2, 6), kAny), 0.0f, 1.0f));
    if (kind == 8) return append(FloatMove{}, {global_average(conv(at, pick(2, 6), kAny))});
    return at == 0 ? conv(at, 3, kAny) : at;
  }

  Graph graph_;
  std::mt19937_64 engine_;
  const bool with_attention_;
};

/// A small valid float network, the same for the same seed everywhere: at most 16 nodes of about 12 x 12 x 16, 1-D
/// (w = 1) or 2-D, with grouped, depthwise, strided, dilated, transposed and asymmetrically padded convolutions,
/// BatchNorm (also negative, tiny and zero scales, also without a layer before it), ReLU, Clip, skips, downsample
/// branches, concatenation, pooling, functions as tables (per channel too), combinations of two tensors or with a
/// constant, broadcast and not, linear interpolations, normalisations, products of activations, nodes with two readers,
/// and outputs that are a layer or something else.
inline Graph random_graph(std::uint64_t seed, bool with_attention = true) {
  return RandomGraphBuilder(seed, with_attention).build();
}

}  // namespace qnudge::test
