// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <random>

#include "qnudge/data/series.hpp"
#include "support/random_network.hpp"
#include "support/toy_problem.hpp"

namespace qnudge::test {

/// An autoencoder of windows: `depth` 1-D convolutions and as many transposed ones, each with BatchNorm and ReLU,
/// shapes as in the published ones (stride 1, padding 1, even and odd kernels). It gives its input back but for noise.
inline Graph autoencoder_graph(std::int64_t window, std::int64_t sensors, int depth, std::uint64_t seed,
                               float noise = 0.02f) {
  std::mt19937_64 random(seed);
  const auto draw = [&] { return noise * (static_cast<float>(random() % 2001) / 1000.0f - 1.0f); };
  Graph graph;
  graph.input_name = "window";
  graph.output_name = "output";
  graph.spatial_rank = 1;
  graph.fingerprint = fmt::format("autoencoder-{}-{}-{}-{}", window, sensors, depth, seed);
  Node input;
  input.name = "window", input.shape = {sensors, 1, window};
  graph.nodes.push_back(input);
  const auto append = [&](FloatPrimitive what, const Shape& shape) {
    Node node{.what = std::move(what), .shape = shape};
    node.inputs = {static_cast<int>(graph.nodes.size()) - 1};
    node.name = fmt::format("{}_{}", kind_of(node), graph.nodes.size());
    graph.nodes.push_back(std::move(node));
  };
  const auto block = [&](std::int64_t channels, std::int64_t kernel, bool transposed) {
    const Shape in = graph.nodes.back().shape;
    FloatLayer conv;
    const std::int64_t pad = transposed ? kernel - 2 : 1;
    conv.conv.window = {.r = kernel, .pad_top = pad, .pad_bottom = pad};
    conv.conv.transposed = transposed;
    const Shape out{window_extent(in.h, kernel, 1, 1, pad, pad, 1), 1, channels};
    conv.filter = {channels, kernel, 1, in.c};
    conv.weights.resize(static_cast<std::size_t>(conv.filter.size()));
    for (float& w : conv.weights) w = draw();
    // The tap that leaves position i at i: behind the padding on the way in, and its mirror image on the way out.
    const std::int64_t tap = transposed ? kernel - 2 : 1;
    FloatBatchNorm bn;
    for (std::int64_t c = 0; c < channels; ++c) {
      const float weight = 0.6f + 0.4f * static_cast<float>(random() % 1001) / 1000.0f;  // no grid has them all
      if (c < in.c) conv.weights[static_cast<std::size_t>((c * kernel + tap) * in.c + c)] += weight;
      bn.scale.push_back((1 + draw()) / weight);
      bn.shift.push_back(draw());
    }
    conv.bias.assign(static_cast<std::size_t>(channels), 0.0f);
    append(std::move(conv), out);
    append(std::move(bn), out);
    append(relu_table(), out);
  };
  std::vector<std::int64_t> channels{window}, kernels;
  for (int i = 0; i < depth; ++i) {
    channels.push_back(channels.back() + 1 + static_cast<std::int64_t>(random() % 4));
    kernels.push_back(2 + static_cast<std::int64_t>(random() % 3));
    block(channels.back(), kernels.back(), false);
  }
  for (int i = depth; i-- > 0;)
    block(channels[static_cast<std::size_t>(i)], kernels[static_cast<std::size_t>(i)], true);
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  return graph;
}

/// Waves of all sensors; with `anomalies` some stretches in which one of them leaves its range.
inline Series wave_series(std::int64_t rows, std::int64_t sensors, bool anomalies, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Series series;
  series.origin = fmt::format("waves {}", seed);
  for (std::int64_t s = 0; s < sensors; ++s) series.names.push_back(fmt::format("sensor {}", s));
  for (std::int64_t row = 0; row < rows; ++row) {
    const bool anomalous = anomalies && row % 40 >= 30;
    series.anomalous.push_back(anomalous);
    for (std::int64_t s = 0; s < sensors; ++s) {
      const double wave =
          std::sin(0.1 * static_cast<double>((s + 1) * row)) + 0.001 * static_cast<double>(random() % 100);
      series.values.push_back(10 * wave + (anomalous && s == row / 40 % sensors ? 15 : 0));
    }
  }
  return series;
}

/// As ToyProblem, on series.
struct SeriesProblem : ToyProblem {
  SeriesConfig series;

  SeriesProblem() {
    graph = autoencoder_graph(4, 5, 1, 3);
    series.window = 4;
    const std::shared_ptr<const Dataset> training =
        make_series_set({wave_series(200, 5, false, 1), wave_series(150, 5, false, 2)}, series, true, "training waves");
    series.offset = training->scaling()->offset;
    series.scale = training->scaling()->scale;
    train = training;
    test = make_series_set({wave_series(200, 5, true, 3), wave_series(160, 5, true, 4)}, series, false, "test waves");
    config.data.format = "npy";
    config.data.series = series;
    config.data.classes = 2;
    config.search.fitness = "reconstruction";
  }
};

/// A network of that shape quantised on a random grid, and windows whose originals leave the range of the codes.
inline IntNetwork random_autoencoder(std::uint64_t seed) {
  const Graph graph =
      autoencoder_graph(2 + static_cast<std::int64_t>(seed % 5), 3 + static_cast<std::int64_t>(seed % 6),
                        1 + static_cast<int>(seed % 3), seed, 0.3f);
  IntNetwork network = lower(graph, seed % 2 ? BatchNormMode::separate : BatchNormMode::fold);
  Ranges ranges(graph.nodes.size(), 0.9f + static_cast<float>(seed % 4));
  calibrate(network, ranges);
  const Grid grid{.bits = 2 + static_cast<int>(seed % 7)};
  for (Layer& layer : network.layers) layer.params = quantise_layer(network, layer, grid);
  return network;
}

inline ImageSet random_windows(const IntNetwork& network, std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  ImageSet set;
  set.count = count;
  for (std::int64_t i = 0; i < count * network.nodes.front().shape.size(); ++i) {
    const auto code = static_cast<std::int32_t>(random() % 256) - 128;
    set.codes.push_back(static_cast<std::int8_t>(code));
    const bool outside = random() % 8 == 0;
    set.originals.push_back(
        static_cast<std::int16_t>(outside ? static_cast<int>(random() % 65535) - 32767 : code * 16 + 3));
  }
  set.labels.assign(static_cast<std::size_t>(count), 1);
  return set;
}

}  // namespace qnudge::test
