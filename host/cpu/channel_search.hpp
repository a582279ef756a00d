// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "host_session.hpp"
#include "qnudge/backend/backend.hpp"
#include "qnudge/backend/channel_target.hpp"
#include "sampled_rows.hpp"

namespace qnudge {

/// Every output channel searched on its own: the layer runs over the observed rows only, laid out as the input of a 1x1
/// convolution; blocks of rows are spread over threads, offspring innermost.
class HostChannelSearch : public LayerSearch {
 public:
  HostChannelSearch(const IntNetwork& network, int layer, KernelFactory kernels, SampledRows sampled,
                    bool inputs_signed, const LayerTargets& targets, const ChannelOptions& options,
                    std::span<const std::int16_t> residual_targets, int threads);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override { return 1; }
  void mutate(std::int32_t chunk) override;
  void evaluate(std::int32_t chunk) override;
  void select() override;
  void repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) override;
  PopulationState save() const override;
  std::vector<GenerationRecord> take_history() override;
  const Mailbox& mailbox() const override { return mailbox_; }

 private:
  MutationRule rule() const;
  void errors(std::span<const std::int8_t> genomes, std::span<std::int64_t> errors);
  void add_errors(std::int64_t block, const std::byte* output, std::int64_t* errors) const;
  void publish();

  const Layer& layer_;
  const SampledRows sampled_;
  const ChannelError error_;
  const ChannelOptions options_;
  const int ordinal_, threads_;
  const std::int64_t genes_, taps_, channels_;
  std::vector<std::int16_t> targets_;                   // [genes] of the mutation `residual`
  std::vector<std::vector<std::uint32_t>> thresholds_;  // [generations] of the mutation `residual`
  std::unique_ptr<ConvKernel> kernel_;                  // of one block of rows

  std::vector<std::int8_t> elite_, offspring_;               // [genes], [lambda, genes]
  std::vector<std::int64_t> elite_error_, offspring_error_;  // [K], [lambda, K]
  std::int64_t start_fitness_ = 0;
  std::int32_t generation_ = 0;
  std::vector<GenerationRecord> history_;
  Mailbox mailbox_;
  std::int64_t images_ = 0;
};

}  // namespace qnudge
