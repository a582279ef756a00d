// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "host/quant/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kTapLimit = std::numeric_limits<std::int32_t>::max() / (128 * 128) + 1;  // 131072

const FloatBatchNorm* batch_norm(const Node& node) {
  return std::get_if<FloatBatchNorm>(&node.what);
}

Layer geometry(const Lowering& lowering, int i) {
  Layer layer;
  layer.name = lowering.at(i).name;
  layer.in = lowering.at(lowering.at(i).inputs.front()).shape;
  layer.out = lowering.at(i).shape;
  return layer;
}

Layer weighted_layer(const Lowering& lowering, int i) {
  const FloatLayer& from = *lowering.at(i).layer();
  Layer layer = geometry(lowering, i);
  layer.conv = from.conv;
  layer.filter = from.filter;
  layer.gemm = from.gemm;
  layer.weights = from.weights;
  layer.gain.assign(from.bias.size(), 1.0);
  layer.shift.assign(from.bias.begin(), from.bias.end());
  const bool counted = layer.weights.empty() || static_cast<std::int64_t>(layer.weights.size()) == layer.filter.size();
  require(counted && static_cast<std::int64_t>(layer.shift.size()) == layer.filter.k, ErrorKind::internal,
          "layer '{}': {} weights and {} biases do not fit its filter", layer.name, layer.weights.size(),
          layer.shift.size());
  return layer;
}

Layer unit_layer(const Lowering& lowering, int i) {
  Layer layer = geometry(lowering, i);
  layer.tunable = false;
  layer.conv.groups = layer.in.c;
  layer.filter = {layer.in.c, 1, 1, 1};
  layer.weights.assign(static_cast<std::size_t>(layer.in.c), 1.0f);
  layer.gain.assign(layer.weights.size(), 1.0);
  layer.shift.assign(layer.weights.size(), 0.0);
  return layer;
}

/// y * scale + shift behind the layer: into gain and shift, the sign into the weights; or all of it into the weights.
void merge(BatchNormMode mode, const FloatBatchNorm& norm, Layer& layer) {
  const auto taps = static_cast<std::size_t>(layer.filter.taps());
  for (std::size_t k = 0; k < layer.gain.size(); ++k) {
    const auto scale = static_cast<double>(norm.scale[k]);
    layer.shift[k] = layer.shift[k] * scale + static_cast<double>(norm.shift[k]);
    const bool fold = mode == BatchNormMode::fold && layer.tunable;
    const double factor = fold ? scale : (scale < 0.0 ? -1.0 : 1.0);
    if (!fold) layer.gain[k] *= std::abs(scale);
    for (std::size_t i = k * taps; i < std::min((k + 1) * taps, layer.weights.size()); ++i) {
      layer.weights[i] = static_cast<float>(static_cast<double>(layer.weights[i]) * factor);
    }
  }
}

}  // namespace

/// A convolution, matrix product or BatchNorm with every BatchNorm and the activation behind it.
void quant_facets::lower_layer(Lowering& lowering, int first) {
  const FloatBatchNorm* const alone = batch_norm(lowering.at(first));
  Layer layer = alone != nullptr ? unit_layer(lowering, first) : weighted_layer(lowering, first);
  require(layer.filter.taps() < kTapLimit, ErrorKind::input,
          "layer '{}': {} taps per output channel; fewer than {} are needed for exact 32-bit sums", layer.name,
          layer.filter.taps(), kTapLimit);
  const int i = lowering.append(IntLayer{}, first);
  if (alone != nullptr) merge(lowering.mode(), *alone, layer);
  int last = first;
  for (auto next = lowering.only_reader(last); next && batch_norm(lowering.at(*next)) != nullptr;
       next = lowering.only_reader(last)) {
    merge(lowering.mode(), *batch_norm(lowering.at(*next)), layer);
    last = *next;
    lowering.take_over(i, last);
  }
  // A float output cannot be clipped: there the Clip stays a node of its own, on codes.
  const auto reader = lowering.only_reader(last);
  lowering.absorb_bounds(i, last, !reader || !lowering.is_output(*reader));
  layer.node = i;
  lowering.node(i).what = IntLayer{lowering.add_layer(std::move(layer))};
}

const QuantFacet quant_facets::layer = {.kind = [](const IntNode&) -> std::string_view { return "conv"; },
                                        .bounds =
                                            [](const IntNode& node, std::span<const CodeBounds>) {
                                              return CodeBounds{node.low, node.high};
                                            }};

}  // namespace qnudge
