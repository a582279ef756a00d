// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "image_store.hpp"
#include "population.hpp"
#include "qnudge/backend/layer_plan.hpp"
#include "tile_program.hpp"

namespace qnudge {

/// A planned layer on the host: cut tensors of the whole set cached, then (tile, candidate) pairs over threads, each
/// the searched layer with the candidate's weights and the suffix behind it, one barrier per evaluation.
class HostLayerSearch : public HostPopulation {
 public:
  HostLayerSearch(const IntNetwork& network, const std::vector<PreparedLayer>& layers, int layer,
                  std::shared_ptr<const HostImages> images, const PopulationOptions& options,
                  std::span<const std::int16_t> residual_targets, int threads);

 private:
  void score(std::span<const std::int8_t> genomes, std::span<std::int64_t> fitness) override;
  void fill_cache();
  std::int64_t image_bytes(int node) const { return network_.at(node).shape.size() * network_.element_bytes(node); }
  void set_cached(const TileProgram& program, TileContext& context, std::int64_t tile);
  void pack(std::span<const std::int8_t> genomes, std::int64_t count);

  const IntNetwork& network_;
  const std::vector<PreparedLayer>& layers_;
  const int layer_, threads_;
  const std::int64_t genes_;
  const std::shared_ptr<const HostImages> images_;
  const ScoreRule rule_;
  const LayerPlan plan_;
  std::vector<AlignedBuffer> cache_;  // by plan_.cut: [tiles * tile, HWC]
  std::unique_ptr<TileProgram> program_;
  std::vector<TileContext> contexts_;  // by thread
  AlignedBuffer packed_;               // [candidates][packed_bytes]
};

}  // namespace qnudge
