// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "generation_log.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge::cuda {

/// Largest mu + lambda that one block of the device sorts.
constexpr std::int32_t kMaxPopulation = 4096;

/// Parents, offspring and ranking of one layer, resident on a device.
class DevicePopulation {
 public:
  /// Throws Error(kind device) for a population beyond kMaxPopulation.
  DevicePopulation(Device& device, GenerationLog& log, const Layer& layer, int ordinal,
                   const PopulationOptions& options, std::span<const std::int16_t> residual_targets,
                   std::int64_t images);

  std::int32_t resident() const { return chunk_range(0).second; }  ///< candidates in memory at a time
  std::int32_t chunks() const;
  std::pair<std::int32_t, std::int32_t> chunk_range(std::int32_t chunk) const;
  const std::int8_t* filters() const { return filters_.data(); }                 ///< [resident][genes]
  std::int64_t* offspring_fitness() const { return offspring_fitness_.data(); }  ///< [lambda]

  /// Every resident filter <- the start codes.
  void fill_with_start();
  /// Parents <- the start codes with `fitness`; generation 0.
  void begin(std::int64_t fitness);
  void restore(const PopulationState& state);
  PopulationState save() const;

  void append_mutation(Program& program, std::int32_t chunk) const;
  void append_selection(Program& program) const;

 private:
  void set_parents(std::span<const std::int8_t> codes, std::span<const std::int64_t> fitness, std::int32_t generation);

  Device& device_;
  const PopulationOptions options_;
  const std::int64_t genes_, images_;
  const std::vector<std::int8_t> start_codes_;
  GenomeRule rule_;
  DeviceArray<std::uint8_t> frozen_;
  DeviceArray<std::int16_t> targets_;
  DeviceArray<std::uint32_t> residual_thresholds_;
  DeviceArray<std::int8_t> parents_;  // [mu][genes] by slot
  DeviceArray<std::int8_t> filters_;  // [resident][genes]
  DeviceArray<std::int32_t> slot_;    // [mu] by rank
  DeviceArray<std::int64_t> parent_fitness_, new_fitness_, offspring_fitness_;
  DeviceArray<Survivor> survivors_;
  DeviceArray<std::int32_t> scratch_;
  DeviceArray<PopulationCounters> counters_;
  GenerationLog& log_;
  std::int64_t start_fitness_ = 0;
};

}  // namespace qnudge::cuda
