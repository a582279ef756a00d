// SPDX-License-Identifier: MIT
#pragma once

#include "device_network.hpp"
#include "recorded_search.hpp"

namespace qnudge::cuda {

/// Strategy "gram" on a device: a team of threads per offspring of every channel, all of them at once.
class EngineGramSearch : public RecordedSearch {
 public:
  EngineGramSearch(const DeviceNetwork& network, int layer, const GramForm& form, const GramOptions& options);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override { return 1; }
  void mutate(std::int32_t) override {}  // offspring are drawn where they descend
  void evaluate(std::int32_t chunk) override;
  void select() override;
  PopulationState save() const override;

 private:
  void upload_form(const GramForm& form, const GramOptions& options);
  /// The first elites of every channel <- these genomes with these gains; returns the sum of the channels' fitness.
  std::int64_t place(const std::vector<std::int8_t>& codes, const std::vector<double>& gains);
  void set_generation(std::int32_t generation);

  const std::vector<std::int8_t> start_codes_;
  const std::vector<std::int32_t> order_;   // [groups, taps]: tap of each rank
  const std::vector<std::uint8_t> frozen_;  // [K]
  const std::int64_t channels_, taps_, group_channels_;
  const Lineages lineages_;
  DeviceArray<std::int32_t> matrix_, tap_;
  DeviceArray<std::int64_t> most_, linear_;
  DeviceArray<std::uint8_t> device_frozen_;
  DeviceArray<std::int8_t> codes_, offspring_codes_;
  DeviceArray<std::int64_t> gradient_, offspring_gradient_, scaled_, error_, offspring_error_, fitness_;
  DeviceArray<double> gain_;
  DeviceArray<std::int32_t> accepted_;
  DeviceArray<PopulationCounters> counters_;
  GramProblem problem_{};
  GramElites elites_{};
  std::int64_t start_fitness_ = 0;
};

}  // namespace qnudge::cuda
