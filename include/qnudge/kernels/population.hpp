// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/philox.hpp"
#include "qnudge/kernels/divisor.hpp"
#include "qnudge/kernels/mutate.hpp"
#include "qnudge/kernels/select.hpp"

/// The population of one layer on a device: parents in slots, everything that changes between generations in memory, so
/// that the same commands serve every generation.
namespace qnudge {

/// What of a layer's search changes from one generation to the next.
struct PopulationCounters {
  std::int32_t generation;  ///< finished generations
  std::int32_t survivors;   ///< offspring among the new parents
};

/// How a genome arises from its parent: one Philox block of four words serves four consecutive weights.
struct GenomeRule {
  MutationRule mutation;
  const std::int16_t* targets;  ///< [genes] Q8 residual targets; nullptr for uniform mutation
  const std::uint8_t* frozen;   ///< [K] 1: constant channel, codes 0
  std::int64_t genes;           ///< K * taps
  Divisor taps;                 ///< weights of one output channel
  std::uint64_t seed;
  std::uint32_t layer;

  QNUDGE_HOST_DEVICE std::int64_t blocks() const { return (genes + 3) / 4; }

  QNUDGE_HOST_DEVICE std::int8_t gene(std::int64_t g, std::int32_t code, std::uint32_t word) const {
    if (frozen[g / taps]) return 0;
    return mutation(code, targets != nullptr ? targets[g] : 0, word);
  }

  /// Weights 4 * block .. 4 * block + 3 of `to` <- mutated `from`; the two may be the same genome.
  template <class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Philox& philox, const std::int8_t* from, std::int8_t* to, std::int64_t block,
                                     std::int32_t offspring, std::int32_t generation) const {
    const DrawAddress at{static_cast<std::uint32_t>(offspring), static_cast<std::uint32_t>(generation), layer,
                         Purpose::mutate};
    const U32x4 words = draw_block(philox, seed, at, static_cast<std::uint32_t>(block));
    const std::int64_t first = 4 * block;
    if (genes % 4 == 0) {  // whole words: every genome begins on a multiple of four bytes
      const std::uint32_t packed = *reinterpret_cast<const std::uint32_t*>(from + first);
      std::uint32_t mutated = 0;
      for (int j = 0; j < 4; ++j) {
        const auto code = static_cast<std::int8_t>(packed >> (8 * j));
        mutated |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(gene(first + j, code, words.v[j]))) << (8 * j);
      }
      *reinterpret_cast<std::uint32_t*>(to + first) = mutated;
      return;
    }
    for (std::int64_t j = 0; j < 4 && first + j < genes; ++j) {
      to[first + j] = gene(first + j, from[first + j], words.v[j]);
    }
  }
};

/// Offspring of one chunk, straight into the wide filter. Element i: block i % blocks() of candidate i / blocks().
struct MutateOffspring {
  GenomeRule rule;
  const std::int8_t* parents;  ///< [mu][genes] by slot
  const std::int32_t* slot;    ///< [mu] by rank
  std::int8_t* filters;        ///< [chunk][genes]
  const PopulationCounters* counters;
  std::int32_t first;  ///< number of the chunk's first offspring
  std::int32_t mu;
  Divisor blocks = rule.blocks();

  template <class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Philox& philox, std::int64_t i) const {
    const std::int64_t candidate = i / blocks;
    const auto offspring = static_cast<std::int32_t>(first + candidate);
    rule(philox, parents + slot[offspring % mu] * rule.genes, filters + candidate * rule.genes, i % blocks, offspring,
         counters->generation);
  }
};

/// Writes surviving offspring into the slots that `plan_survivors` chose: first all that go elsewhere, then, in a
/// second pass, those that take their own parent's place; within a pass nobody reads what another writes.
/// Element i: block i % blocks() of survivor i / blocks().
struct RegenerateSurvivors {
  GenomeRule rule;
  std::int8_t* parents;       ///< [mu][genes] by slot
  const Survivor* survivors;  ///< [mu], the first counters->survivors count
  const PopulationCounters* counters;
  bool in_place;  ///< which of the two passes
  Divisor blocks = rule.blocks();

  template <class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Philox& philox, std::int64_t i) const {
    const auto entry = static_cast<std::int32_t>(i / blocks);
    if (entry >= counters->survivors) return;
    const Survivor& s = survivors[entry];
    if ((s.from == s.to) != in_place) return;
    rule(philox, parents + s.from * rule.genes, parents + s.to * rule.genes, i % blocks, s.offspring,
         counters->generation);
  }
};

/// New ranking from the sorted entries; run by one thread, in memory of its own.
struct RankSurvivors {
  std::int64_t* parent_fitness;           ///< [mu] by rank
  const std::int64_t* offspring_fitness;  ///< [lambda]
  std::int32_t* slot;                     ///< [mu] by rank
  Survivor* survivors;                    ///< [mu] out
  std::int32_t* scratch;                  ///< [4 * mu]
  std::int64_t* new_fitness;              ///< [mu] scratch
  PopulationCounters* counters;
  std::int32_t mu, lambda;

  QNUDGE_HOST_DEVICE FitterRule fitter() const { return {parent_fitness, offspring_fitness, mu}; }

  /// `best`: the mu fittest entries in order.
  QNUDGE_HOST_DEVICE void operator()(const std::int32_t* best) const {
    const FitterRule rule = fitter();
    for (std::int32_t r = 0; r < mu; ++r) new_fitness[r] = rule.fitness(best[r]);
    counters->survivors = plan_survivors(best, mu, slot, survivors, scratch);
    for (std::int32_t r = 0; r < mu; ++r) parent_fitness[r] = new_fitness[r];
  }
};

}  // namespace qnudge
