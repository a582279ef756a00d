// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// The resident population of one layer on the host: slots, mutation, selection, history. How a genome is scored is
/// left to the backend.
class HostPopulation : public LayerSearch {
 public:
  HostPopulation(const Layer& layer, int ordinal, const PopulationOptions& options,
                 std::span<const std::int16_t> residual_targets, std::int64_t images, int threads);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override;
  void mutate(std::int32_t chunk) override;
  void evaluate(std::int32_t chunk) override;
  void select() override;
  void repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) override;
  PopulationState save() const override;
  std::vector<GenerationRecord> take_history() override;
  const Mailbox& mailbox() const override { return mailbox_; }

 protected:
  /// Fitness of each genome, [n][K, R, S, C] contiguous, over the whole image set.
  virtual void score(std::span<const std::int8_t> genomes, std::span<std::int64_t> fitness) = 0;

 private:
  std::int8_t* parent(std::int32_t slot) { return parents_.data() + slot * genes_; }
  std::pair<std::int32_t, std::int32_t> chunk_range(std::int32_t chunk) const;
  void mutate_genome(const std::int8_t* from, std::int8_t* to, std::int32_t offspring) const;

  const std::int64_t genes_, taps_;
  const std::int64_t images_;
  const int ordinal_, threads_;
  const PopulationOptions options_;
  const std::vector<std::uint8_t> frozen_;
  const std::vector<std::int8_t> start_codes_;
  const std::vector<std::int16_t> targets_;
  std::vector<std::uint32_t> residual_thresholds_;
  MutationRule rule_;

  std::vector<std::int8_t> parents_;             // [mu][genes] by slot
  std::vector<std::int8_t> offspring_;           // [chunk][genes]
  std::vector<std::int32_t> slot_;               // [mu] by rank
  std::vector<std::int64_t> parent_fitness_;     // [mu] by rank
  std::vector<std::int64_t> offspring_fitness_;  // [lambda]
  std::int64_t start_fitness_ = 0;
  std::int32_t generation_ = 0;
  std::vector<GenerationRecord> history_;
  Mailbox mailbox_;
};

}  // namespace qnudge
