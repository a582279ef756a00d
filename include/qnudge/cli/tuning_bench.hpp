// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// How one layer's search behaved; seconds are medians over the repeats.
struct LayerTiming {
  std::string name;
  double prepare_seconds = 0;  ///< prefix, and its cache or Gram matrix, once per layer
  double start_seconds = 0;    ///< parents' fitness, or the descent to the first elites, once per layer
  double mutate_seconds = 0, evaluate_seconds = 0, select_seconds = 0;  ///< per generation
  double generation_seconds() const { return mutate_seconds + evaluate_seconds + select_seconds; }
};

struct TuningTimes {
  std::vector<LayerTiming> layers;
  double inference_seconds = 0;  ///< one plain integer evaluation of the whole set
  std::int64_t images = 0, offspring = 0;

  double once_seconds() const;  ///< prepare and start of all layers
  /// Candidate-images per second while generations run, every layer searched equally long.
  double candidate_images_per_second() const;
  double inference_images_per_second() const;
  double mutation_share() const;  ///< of the time of all generations
};

struct BenchPlan {
  std::vector<int> layers;  ///< ordinals
  int generations = 4, repeats = 3;
};

/// Seconds since some fixed moment.
using BenchClock = std::function<double()>;
double steady_seconds();

/// Opens the search of one layer.
using OpenSearch = std::function<std::unique_ptr<LayerSearch>(int layer)>;

/// Times the search that `open` opens. On a backend that records a generation and replays it, phases are told apart by
/// repeating without some of them, each at two lengths, whose difference leaves out what a repeat costs once:
/// recording, building a graph, launching it. `generations`, at least 2 of which are run, is the longer one.
LayerTiming time_layer(const std::function<std::unique_ptr<LayerSearch>()>& open, int generations,
                       const BenchClock& now = steady_seconds);

/// Times every layer of the plan so, with `offspring` candidates over `images` in each generation.
TuningTimes time_tuning(const IntNetwork& network, Session& session, const ImagesHandle& images, std::int64_t offspring,
                        const OpenSearch& open, const BenchPlan& plan);

}  // namespace qnudge
