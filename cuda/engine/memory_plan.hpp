// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "chunk_size.hpp"
#include "qnudge/backend/layer_plan.hpp"

namespace qnudge::cuda {

/// How a search of whole layers shares out device memory; every size in bytes. Workspaces come on top.
struct SearchMemory {
  std::int32_t candidates = 1;  ///< offspring resident at a time
  ChunkChoice chunk;
  std::int64_t parents = 0;      ///< mu genomes
  std::int64_t filters = 0;      ///< the resident offspring
  std::int64_t cache = 0;        ///< what crosses the cut, of all images
  std::int64_t activations = 0;  ///< of all streams, with the copies of the cut that they read

  std::int64_t total() const { return parents + filters + cache + activations; }
  std::string text() const;  ///< one line for people
};

/// Chooses the number of resident candidates, the images per chunk and the streams: as many rows at work as
/// `limits.rows` asks for, then as many candidates as that allows and as have fewer than 2^31 codes together.
/// `options.chunk` caps the candidates. Throws Error(kind device) naming the smallest need if not even one candidate on
/// one image fits.
SearchMemory plan_search_memory(const IntNetwork& network, const LayerPlan& plan, const PopulationOptions& options,
                                std::int64_t count, const ChunkLimits& limits);

/// The searched node and everything behind it.
std::vector<int> searched_nodes(const LayerPlan& plan);

}  // namespace qnudge::cuda
