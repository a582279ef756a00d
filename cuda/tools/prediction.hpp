// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "model_shapes.hpp"
#include "roofline.hpp"

namespace qnudge::cuda {

/// What one generation of strategy `layer` is expected to take, as a mean over the layers of a network: the searched
/// layer for P candidates at once, everything behind it for each of them.
struct GenerationPrediction {
  double multiply_adds = 0;    ///< per image and candidate
  double compute_seconds = 0;  ///< floor at the data sheet's rate
  double memory_seconds = 0;   ///< floor
  double default_seconds = 0;  ///< expected with the configuration that the heuristics name
  double best_seconds = 0;     ///< expected with the best one for each shape
};
GenerationPrediction predict_generation(const ModelShapes& model, std::int64_t images, std::int64_t candidates,
                                        const Card& card);

/// Expected seconds of any convolution: with `configuration` where it is aligned, else by the general engine.
double expected_seconds(const ConvTask& task, std::int64_t configuration, const Card& card);

/// The network's convolutions that differ, each once, as tasks of at most `rows` images times candidates: what is
/// searched (wide), and what stands behind it (shared).
struct NamedTask {
  std::string layer;
  ConvTask task;
};
std::vector<NamedTask> distinct_tasks(const ModelShapes& model, std::int64_t candidates, std::int64_t rows);

/// The tables of docs/performance.md, in Markdown.
std::string prediction_tables();

}  // namespace qnudge::cuda
