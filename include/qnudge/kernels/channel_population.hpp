// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/population.hpp"

/// Populations of one elite per output channel on a device, for strategies "channel" and "gram".
namespace qnudge {

/// Offspring of strategy "channel", straight into the wide filter; element i: block i % blocks() of candidate
/// i / blocks(). The rate changes from one generation to the next; the last one's serves whatever follows.
struct MutateChannels {
  GenomeRule rule;                   ///< without thresholds
  const UniformThresholds* uniform;  ///< [generations], or nullptr
  const std::uint32_t* residual;     ///< [generations, kResidualSteps], or nullptr
  const std::int8_t* elite;          ///< [genes]
  std::int8_t* filters;              ///< [P][genes]
  const PopulationCounters* counters;
  std::int32_t generations;
  Divisor blocks = rule.blocks();

  template <class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Philox& philox, std::int64_t i) const {
    const std::int64_t candidate = i / blocks;
    const std::int32_t generation = counters->generation;
    const std::int32_t entry = generation < generations ? generation : generations - 1;
    GenomeRule now = rule;
    if (uniform != nullptr) now.mutation.uniform = uniform[entry];
    if (residual != nullptr) now.mutation.residual_thresholds = residual + std::int64_t{entry} * kResidualSteps;
    now(philox, elite, filters + candidate * rule.genes, i % blocks, static_cast<std::int32_t>(candidate), generation);
  }
};

/// What selection by channel leaves behind for the history.
struct ChannelOutcome {
  std::int64_t* fitness;   ///< [K] of the elites, minus an error
  std::int32_t* accepted;  ///< [K] 1: took an offspring
};

/// Lowest index among the smallest of errors[j * stride], j < count, if below `own`; else -1.
QNUDGE_HOST_DEVICE std::int32_t fitter_offspring(const std::int64_t* errors, std::int64_t stride, std::int32_t count,
                                                 std::int64_t own) {
  std::int32_t best = -1;
  for (std::int32_t j = 0; j < count; ++j) {
    if (errors[j * stride] >= own) continue;
    own = errors[j * stride];
    best = j;
  }
  return best;
}

/// Selection of strategy "channel": team k takes the codes of its fittest offspring.
struct SelectChannel {
  std::int8_t* elite;          ///< [K, taps]
  const std::int8_t* filters;  ///< [P][K, taps]
  const std::int64_t* errors;  ///< [P, K]
  ChannelOutcome outcome;
  std::int64_t channels, taps;
  std::int32_t offspring;

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const std::int32_t best = fitter_offspring(errors + k, channels, offspring, -outcome.fitness[k]);
    team.sync();  // all have read the elite's fitness
    if (best >= 0) {
      const std::int8_t* const from = filters + (best * channels + k) * taps;
      for (std::int64_t j = team.rank(); j < taps; j += team.size()) elite[k * taps + j] = from[j];
    }
    if (team.rank() != 0) return;
    outcome.accepted[k] = best >= 0 ? 1 : 0;
    if (best >= 0) outcome.fitness[k] = -errors[best * channels + k];
  }
};

}  // namespace qnudge
