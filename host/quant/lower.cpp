// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kTapLimit = std::numeric_limits<std::int32_t>::max() / (128 * 128) + 1;  // 131072

class Lowering {
 public:
  Lowering(const Graph& graph, BatchNormMode mode)
      : graph_(graph), mode_(mode), readers_(graph.nodes.size()), lowered_(graph.nodes.size(), -1) {
    network_.spatial_rank = graph.spatial_rank;
    network_.input_name = graph.input_name;
    network_.output_name = graph.output_name;
    find_readers();
  }

  IntNetwork run() {
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      const bool dead = i != graph_.output && i != 0 && readers(i).empty();
      if (!dead && lowered(i) < 0) lower_node(i);
    }
    network_.output = lowered(graph_.output);
    drop_output_views();
    return std::move(network_);
  }

 private:
  const Node& at(int i) const { return graph_.nodes[static_cast<std::size_t>(i)]; }
  const std::vector<int>& readers(int i) const { return readers_[static_cast<std::size_t>(i)]; }
  int& lowered(int i) { return lowered_[static_cast<std::size_t>(i)]; }

  /// Readers of each node among those that the output depends on.
  void find_readers() {
    std::vector<bool> live(graph_.nodes.size());
    live[static_cast<std::size_t>(graph_.output)] = true;
    for (int i = graph_.output; i > 0; --i) {
      if (!live[static_cast<std::size_t>(i)]) continue;
      for (const int in : at(i).inputs) {
        live[static_cast<std::size_t>(in)] = true;
        readers_[static_cast<std::size_t>(in)].push_back(i);
      }
    }
  }

  /// The only reader of `i`, where nothing else wants to see its value.
  std::optional<int> only_reader(int i) const {
    if (i == graph_.output || readers(i).size() != 1) return std::nullopt;
    return readers(i).front();
  }

  /// A layer that is merely flattened before it is the output keeps its real values. One with an upper bound does not:
  /// a float output has none.
  void drop_output_views() {
    const auto reads = [&](const IntNode& reader, int i) { return std::ranges::count(reader.inputs, i); };
    int root = network_.output;
    while (node(root).op == IntOp::view) {
      const int from = node(root).inputs[0];
      std::ptrdiff_t readers = 0;
      for (const IntNode& reader : network_.nodes) readers += reads(reader, from);
      if (readers != 1) return;
      root = from;
    }
    if (root == network_.output || node(root).op != IntOp::conv || node(root).clip_high != 0.0) return;
    network_.nodes.resize(static_cast<std::size_t>(root) + 1);  // only the views stood behind it
    network_.output = root;
    network_.flatten_output = !network_.layer(node(root).layer).gemm;
  }

  int append(IntOp op, int from, int name_of) {
    IntNode node;
    node.op = op;
    node.name = at(name_of).name;
    node.shape = at(from).shape;
    node.source = from;
    for (const int in : at(from).inputs) node.inputs.push_back(lowered(in));
    network_.nodes.push_back(std::move(node));
    return lowered(from) = static_cast<int>(network_.nodes.size()) - 1;
  }
  IntNode& node(int i) { return network_.nodes[static_cast<std::size_t>(i)]; }

  /// Makes int node `i`, so far float node `from`, stand for a ReLU or Clip(0, high) right behind it.
  void absorb_activation(int i, int from, bool may_clip) {
    const auto next = only_reader(from);
    if (!next) return;
    const Node& reader = at(*next);
    const bool clip = reader.op == Op::clip && reader.clip_low == 0.0f && reader.clip_high > 0.0f && may_clip;
    if (reader.op != Op::relu && !clip) return;
    node(i).low = 0;
    if (clip && std::isfinite(reader.clip_high)) node(i).clip_high = static_cast<double>(reader.clip_high);
    node(i).source = *next;
    lowered(*next) = i;
  }

  void lower_node(int i) {
    switch (at(i).op) {
      case Op::input:
        append(IntOp::input, i, i);
        return;
      case Op::conv:
      case Op::gemm:
      case Op::batch_norm:
        return lower_layer(i);
      case Op::add:
        return absorb_activation(append(IntOp::add, i, i), i, true);
      case Op::relu:
        node(append(IntOp::clamp, i, i)).low = 0;
        return;
      case Op::clip:
        return lower_clip(i);
      case Op::sigmoid:
        append(IntOp::lookup, i, i);
        return;
      case Op::concat:
        append(IntOp::concat, i, i);
        return;
      case Op::flatten:
        append(IntOp::view, i, i);
        return;
      case Op::max_pool:
      case Op::average_pool:
        return lower_pool(i);
    }
    fail(ErrorKind::internal, "node '{}': no integer form", at(i).name);
  }

  void lower_pool(int i) {
    IntNode& pool = node(append(at(i).op == Op::max_pool ? IntOp::max_pool : IntOp::average_pool, i, i));
    pool.pool = at(i).pool;
    pool.count_include_pad = at(i).count_include_pad;
  }

  void lower_clip(int i) {
    IntNode& clamp = node(append(IntOp::clamp, i, i));
    const auto low = static_cast<double>(at(i).clip_low), high = static_cast<double>(at(i).clip_high);
    if (low == 0.0) clamp.low = 0;
    if (high == 0.0) clamp.high = 0;
    if (std::isfinite(low)) clamp.clip_low = low;
    if (std::isfinite(high)) clamp.clip_high = high;
  }

  /// A convolution, matrix product or BatchNorm with every BatchNorm and the activation behind it.
  void lower_layer(int first) {
    Layer layer = at(first).op == Op::batch_norm ? unit_layer(first) : weighted_layer(first);
    require(layer.filter.taps() < kTapLimit, ErrorKind::input,
            "layer '{}': {} taps per output channel; fewer than {} are needed for exact 32-bit sums", layer.name,
            layer.filter.taps(), kTapLimit);
    const int i = append(IntOp::conv, first, first);
    if (at(first).op == Op::batch_norm) merge(layer, at(first));
    int last = first;
    for (auto next = only_reader(last); next && at(*next).op == Op::batch_norm; next = only_reader(last)) {
      merge(layer, at(*next));
      last = *next;
      lowered(last) = i;
    }
    node(i).source = node(i).linear_source = last;
    // A float output cannot be clipped: there the Clip stays a node of its own, on codes.
    absorb_activation(i, last, only_reader(last) != graph_.output || std::isinf(at(graph_.output).clip_high));
    layer.node = i;
    node(i).layer = static_cast<int>(network_.layers.size());
    network_.layers.push_back(std::move(layer));
  }

  Layer weighted_layer(int i) const {
    const Node& from = at(i);
    Layer layer = geometry(i);
    layer.conv = from.conv;
    layer.filter = from.filter;
    layer.gemm = from.op == Op::gemm;
    layer.weights = from.weights;
    layer.gain.assign(from.bias.size(), 1.0);
    layer.shift.assign(from.bias.begin(), from.bias.end());
    require(static_cast<std::int64_t>(layer.weights.size()) == layer.filter.size() &&
                static_cast<std::int64_t>(layer.shift.size()) == layer.filter.k,
            ErrorKind::internal, "layer '{}': {} weights and {} biases do not fit its filter", layer.name,
            layer.weights.size(), layer.shift.size());
    return layer;
  }

  Layer unit_layer(int i) const {
    Layer layer = geometry(i);
    layer.tunable = false;
    layer.conv.groups = layer.in.c;
    layer.filter = {layer.in.c, 1, 1, 1};
    layer.weights.assign(static_cast<std::size_t>(layer.in.c), 1.0f);
    layer.gain.assign(layer.weights.size(), 1.0);
    layer.shift.assign(layer.weights.size(), 0.0);
    return layer;
  }

  Layer geometry(int i) const {
    Layer layer;
    layer.name = at(i).name;
    layer.in = at(at(i).inputs.front()).shape;
    layer.out = at(i).shape;
    return layer;
  }

  /// y * scale + shift behind the layer: into gain and shift, the sign into the weights; or all of it into the weights.
  void merge(Layer& layer, const Node& batch_norm) const {
    const auto taps = static_cast<std::size_t>(layer.filter.taps());
    for (std::size_t k = 0; k < layer.gain.size(); ++k) {
      const auto scale = static_cast<double>(batch_norm.scale[k]);
      layer.shift[k] = layer.shift[k] * scale + static_cast<double>(batch_norm.shift[k]);
      const bool fold = mode_ == BatchNormMode::fold && layer.tunable;
      const double factor = fold ? scale : (scale < 0.0 ? -1.0 : 1.0);
      if (!fold) layer.gain[k] *= std::abs(scale);
      for (std::size_t i = k * taps; i < (k + 1) * taps; ++i) {
        layer.weights[i] = static_cast<float>(static_cast<double>(layer.weights[i]) * factor);
      }
    }
  }

  const Graph& graph_;
  BatchNormMode mode_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> lowered_;  ///< int node that stands for each float node, -1: none yet
  IntNetwork network_;
};

}  // namespace

IntNetwork lower(const Graph& graph, BatchNormMode batch_norm) {
  return Lowering(graph, batch_norm).run();
}

}  // namespace qnudge
