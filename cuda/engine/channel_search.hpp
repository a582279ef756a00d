// SPDX-License-Identifier: MIT
#pragma once

#include "device_rows.hpp"
#include "recorded_search.hpp"

namespace qnudge::cuda {

/// Strategy "channel" on a device: one wide convolution of all candidates over the observed rows, one reduction of its
/// errors to [P, K], one selection per channel.
class EngineChannelSearch : public RecordedSearch {
 public:
  EngineChannelSearch(const DeviceNetwork& network, int layer, const DeviceImages& images, const LayerTargets& targets,
                      const ChannelOptions& options, std::span<const std::int16_t> residual_targets,
                      const EngineOptions& engine);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override { return 1; }
  void mutate(std::int32_t chunk) override;
  void evaluate(std::int32_t chunk) override;
  void select() override;
  PopulationState save() const override;

 private:
  void prepare_rule(int layer, std::span<const std::int16_t> residual_targets);
  void prepare_conv(const EngineOptions& engine);
  void append_errors(Program& program) const;
  void begin(const std::vector<std::int8_t>& elite, const std::vector<std::int64_t>& fitness, std::int32_t generation);

  const Layer layer_;
  const bool float_output_;
  const ConvEpilogue epilogue_;
  const ChannelOptions options_;
  const std::int64_t images_, per_image_, channels_, genes_;
  const DeviceRows rows_;
  std::int64_t block_ = 0;  // rows of one convolution
  ConvHandle conv_;
  GenomeRule rule_{};
  DeviceArray<std::uint8_t> frozen_;
  DeviceArray<std::int16_t> residual_;
  DeviceArray<UniformThresholds> uniform_thresholds_;  // [generations]
  DeviceArray<std::uint32_t> residual_thresholds_;     // [generations, kResidualSteps]
  DeviceArray<std::int8_t> elite_, filters_;           // [genes], [P, genes]
  DeviceArray<float> wide_bias_, wide_multiplier_;     // [P, K]
  DeviceArray<std::int64_t> errors_, fitness_;         // [P, K], [K]
  DeviceArray<std::int32_t> accepted_;                 // [K]
  DeviceArray<PopulationCounters> counters_;
  Memory output_, workspace_;
  std::int64_t start_fitness_ = 0;
};

}  // namespace qnudge::cuda
