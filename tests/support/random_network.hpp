// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <random>

#include "qnudge/backend/backend.hpp"
#include "qnudge/quant/quantise.hpp"
#include "support/random_graph.hpp"

namespace qnudge::test {

/// A random float network lowered, calibrated with made-up ranges and quantised on a random grid; with half activations
/// every third layer stays in half precision.
inline IntNetwork random_network(std::uint64_t seed, Activations activations = Activations::int8) {
  const Graph graph = random_graph(seed);
  std::mt19937_64 random(seed * 77 + 1);
  IntNetwork network = lower(graph, random() % 2 ? BatchNormMode::separate : BatchNormMode::fold);
  network.activations = activations;
  Ranges ranges(graph.nodes.size());
  for (float& r : ranges) r = 0.5f + static_cast<float>(random() % 1000) / 100.0f;
  calibrate(network, ranges);
  Grid grid;
  grid.bits = static_cast<int>(2 + random() % 7);
  grid.scheme = random() % 2 ? GridScheme::per_layer : GridScheme::per_channel;
  grid.scale = random() % 2 ? GridScale::pow2 : GridScale::free;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    Layer& layer = network.layers[l];
    const bool stays = network.half() && (seed + l) % 3 == 0;
    layer.params = stays ? half_layer(network, layer) : quantise_layer(network, layer, grid);
  }
  return network;
}

/// Random input codes (full range, extremes included) or halves (zeros and subnormal ones included), labels and
/// reference logits.
inline ImageSet random_images(const IntNetwork& network, std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  ImageSet set;
  set.count = count;
  const auto values = static_cast<std::size_t>(count * network.nodes.front().shape.size());
  for (std::size_t i = 0; network.half() && i < values; ++i) {
    const auto draw = random() % 10;
    const float value = static_cast<float>(static_cast<int>(random() % 65536) - 32768) / 256.0f;
    set.halves.push_back(to_half(draw == 0 ? 0.0f : draw == 1 ? value * 0x1p-20f : value));
  }
  set.codes.resize(network.half() ? 0 : values);
  for (auto& code : set.codes) {
    const auto draw = random() % 10;
    code = static_cast<std::int8_t>(draw == 0 ? -128 : draw == 1 ? 127 : static_cast<int>(random() % 256) - 128);
  }
  for (std::int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::int32_t>(random() % static_cast<std::uint64_t>(network.output_size())));
    for (std::int64_t k = 0; k < network.output_size(); ++k) {
      set.reference_logits.push_back(static_cast<std::int32_t>(random() % (16 << 16)) - (8 << 16));
    }
  }
  return set;
}

}  // namespace qnudge::test
