// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Order of elitist (mu + lambda) selection: higher fitness first, parents before offspring, lower index first. Entry e
/// is the parent of rank e if e < mu, else offspring e - mu.
struct FitterRule {
  const std::int64_t* parent_fitness;     ///< [mu] by rank
  const std::int64_t* offspring_fitness;  ///< [lambda]
  std::int32_t mu;

  QNUDGE_HOST_DEVICE std::int64_t fitness(std::int32_t entry) const {
    return entry < mu ? parent_fitness[entry] : offspring_fitness[entry - mu];
  }
  QNUDGE_HOST_DEVICE bool operator()(std::int32_t a, std::int32_t b) const {
    const std::int64_t fa = fitness(a), fb = fitness(b);
    return fa != fb ? fa > fb : a < b;
  }
};

/// One surviving offspring to write into a dropped parent's slot.
struct Survivor {
  std::int32_t offspring;  ///< index j; its genome is the mutated parent in slot `from`
  std::int32_t from, to;   ///< slots; from == to mutates in place
};

/// Turns the `mu` best entries (sorted by FitterRule) into new slots. Offspring do not outlive their generation, so a
/// survivor is regenerated from its parent into the slot of a dropped parent, in an order that never overwrites a
/// parent that is still needed: first those that go to slots without surviving children, last, in place, one child of
/// each dropped parent that has some.
///   slot: [mu] by rank, in: slot of each parent, out: slot of each new parent
///   survivors: [mu] out, returns how many; scratch: [4 * mu]
QNUDGE_HOST_DEVICE std::int32_t plan_survivors(const std::int32_t* best, std::int32_t mu, std::int32_t* slot,
                                               Survivor* survivors, std::int32_t* scratch) {
  std::int32_t* kept = scratch;               // by old rank: 1 if the parent survives
  std::int32_t* in_place = scratch + mu;      // by old rank: new rank of the child that takes the dropped parent's slot
  std::int32_t* new_slot = scratch + 2 * mu;  // by new rank
  std::int32_t* free_ranks = scratch + 3 * mu;
  for (std::int32_t r = 0; r < mu; ++r) kept[r] = 0, in_place[r] = -1, new_slot[r] = -1;
  for (std::int32_t r = 0; r < mu; ++r) {
    if (best[r] < mu) {
      kept[best[r]] = 1;
      new_slot[r] = slot[best[r]];
    }
  }
  for (std::int32_t r = 0; r < mu; ++r) {
    if (best[r] < mu) continue;
    const std::int32_t parent = (best[r] - mu) % mu;
    if (!kept[parent] && in_place[parent] < 0) {
      in_place[parent] = r;
      new_slot[r] = slot[parent];
    }
  }
  std::int32_t free_count = 0;
  for (std::int32_t r = 0; r < mu; ++r) {
    if (!kept[r] && in_place[r] < 0) free_ranks[free_count++] = r;
  }
  std::int32_t count = 0, next_free = 0;
  for (std::int32_t r = 0; r < mu; ++r) {  // into slots that nobody reads any more
    if (new_slot[r] >= 0) continue;
    const std::int32_t offspring = best[r] - mu;
    new_slot[r] = slot[free_ranks[next_free++]];
    survivors[count++] = {offspring, slot[offspring % mu], new_slot[r]};
  }
  for (std::int32_t r = 0; r < mu; ++r) {  // in place, when all other readers are done
    if (best[r] < mu) continue;
    const std::int32_t offspring = best[r] - mu;
    if (in_place[offspring % mu] == r) survivors[count++] = {offspring, new_slot[r], new_slot[r]};
  }
  for (std::int32_t r = 0; r < mu; ++r) slot[r] = new_slot[r];
  return count;
}

}  // namespace qnudge
