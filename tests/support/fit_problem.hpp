// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "qnudge/quant/targets.hpp"
#include "support/random_network.hpp"

namespace qnudge::test {

/// A random network with made-up targets for one of its layers.
struct FitProblem {
  FitProblem(std::uint64_t seed, std::size_t choice) : network(random_network(seed)) {
    images = random_images(network, 5, seed);
    layer = static_cast<int>(choice % network.layers.size());
    const Shape& out = description().out;
    std::mt19937_64 random(seed * 31 + choice);
    const std::int64_t wanted = 1 + static_cast<std::int64_t>(random() % 40);
    targets.site = target_site(network, layer);
    targets.exponent = network.at(targets.site.node).exponent - static_cast<int>(random() % 9) + 1;
    targets.images = images.count;
    targets.per_image = rows_per_image(out, wanted);
    targets.positions = draw_positions(seed, layer, out, images.count, wanted);
    for (std::int64_t i = 0; i < targets.rows() * out.c; ++i) {
      const int range = random() % 20 == 0 ? kTargetLimit : 2000;
      values.push_back(
          static_cast<std::int16_t>(static_cast<int>(random() % static_cast<unsigned>(2 * range + 1)) - range));
    }
    targets.values = values;
  }
  FitProblem(const FitProblem&) = delete;
  const Layer& description() const { return network.layer(layer); }

  IntNetwork network;
  ImageSet images;
  int layer = 0;
  std::vector<std::int16_t> values;
  LayerTargets targets;
};

}  // namespace qnudge::test
