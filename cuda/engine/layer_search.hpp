// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "chunk_program.hpp"
#include "device_images.hpp"
#include "device_population.hpp"
#include "memory_plan.hpp"
#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/cuda/engine.hpp"
#include "recorded_search.hpp"

namespace qnudge::cuda {

/// The search of whole layers as programs: the prefix once, then one recorded program per generation.
class EngineSearch : public RecordedSearch {
 public:
  EngineSearch(const DeviceNetwork& network, int layer, std::shared_ptr<const DeviceImages> images,
               const PopulationOptions& options, std::span<const std::int16_t> residual_targets,
               const EngineOptions& engine);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override { return population_.chunks(); }
  void mutate(std::int32_t chunk) override;
  void evaluate(std::int32_t chunk) override;
  void select() override;
  PopulationState save() const override { return population_.save(); }

 private:
  std::int64_t image_bytes(int node) const;
  std::byte* cached(std::size_t cut, std::int64_t image) const;
  void fill_cache(const EngineOptions& engine);
  void prepare_suffix();
  /// Appends copies of the cut's tensors for the cursor's chunk and enters them into `table`.
  void append_gathers(Program& program, const ChunkCursor& cursor, TensorTable& table) const;
  /// Appends the fitness of the resident chunk's first `candidates` filters.
  void append_scores(Program& program, std::int32_t candidates, std::int64_t* fitness) const;
  /// Fitness of the first resident filter, at once.
  std::int64_t score_first() const;

  const DeviceNetwork& network_;
  const std::shared_ptr<const DeviceImages> images_;
  const LayerPlan plan_;
  const SearchMemory memory_;
  const ScoreRule rule_;
  DevicePopulation population_;
  DeviceArray<float> wide_bias_, wide_multiplier_;  // [P, K]
  DeviceArray<Half> wide_halves_;                   // [P, genes] with half activations
  std::vector<DeviceArray<std::byte>> cache_;       // by cut: [count, HWC]; empty for the input itself
  std::unique_ptr<ChunkProgram> suffix_;
  std::vector<Memory> arenas_, staging_;  // one per stream
  DeviceArray<std::int32_t> round_;       // of the loop over chunks
};

}  // namespace qnudge::cuda
