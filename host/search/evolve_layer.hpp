// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// Where a layer's history goes; generation 0 is the start.
using HistorySink = std::function<void(const std::vector<GenerationRecord>&)>;

struct EvolveLimits {
  std::int32_t generations = 64;
  std::int32_t pause_every = 0;  ///< > 0: `pause` is called after every so many generations
};

/// Strategy "layer" (Algorithm 2, repaired): elitist (mu + lambda) on whole layers. Runs until `limits.generations` or
/// `stop`; `pause` is called between pieces with everything read back, so that the caller can save. The search is left
/// readable: `save().parents` begins with the best genome.
void evolve_layer(LayerSearch& search, const EvolveLimits& limits, const StopFlag& stop, const HistorySink& history,
                  const std::function<void()>& pause);

}  // namespace qnudge
