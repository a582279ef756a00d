// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/philox.hpp"
#include "qnudge/kernels/descent.hpp"

/// One output channel's quadratic form on a device, worked on by a team (quant/gram.hpp). Everything "by rank" lies in
/// falling order of the diagonal.
namespace qnudge {

/// One layer's quadratic form with the rules that act on it.
struct GramProblem {
  const std::int32_t* matrix;  ///< [groups, taps, taps] by rank
  const std::int32_t* tap;     ///< [groups, taps] of each rank
  const std::int64_t* most;    ///< [groups, taps] by rank: bound of |c| at any gain
  const std::int64_t* linear;  ///< [K, taps] by rank: c at gain 1
  const std::uint8_t* frozen;  ///< [K]
  std::int64_t taps, group_channels;
  DescentRule descent;
  PerturbRule perturbation;
  Lineages lineages;
  std::uint64_t seed;
  std::uint32_t layer;
  bool joint_gain;

  QNUDGE_HOST_DEVICE std::int64_t group(std::int64_t k) const { return k / group_channels; }
  QNUDGE_HOST_DEVICE const std::int32_t* row(std::int64_t k, std::int64_t rank) const {
    return matrix + (group(k) * taps + rank) * taps;
  }
  QNUDGE_HOST_DEVICE DrawAddress address(std::int32_t offspring, std::int32_t generation, Purpose purpose) const {
    return {static_cast<std::uint32_t>(offspring), static_cast<std::uint32_t>(generation), layer, purpose};
  }
};

/// Codes of one channel, [taps] by rank, with the gradient h q - c that descent keeps beside them.
struct GramPoint {
  std::int8_t* codes;
  std::int64_t* gradient;
};

/// The elites of all channels, of each the fittest first.
struct GramElites {
  std::int8_t* codes;      ///< [K, mu, taps] by rank
  std::int64_t* gradient;  ///< [K, mu, taps] by rank
  std::int64_t* error;     ///< [K, mu] at c over the gain
  std::int64_t* scaled;    ///< [K, taps] by rank: c over the gain
  double* gain;            ///< [K]
};

/// Moves the code of `rank` by d and keeps gradient and error; all members pass the same.
template <class Team>
QNUDGE_HOST_DEVICE void move_code(const Team& team, const GramProblem& p, std::int64_t k, const GramPoint& point,
                                  std::int64_t rank, std::int32_t d, std::int64_t& error) {
  const std::int32_t* const row = p.row(k, rank);
  error += error_change(d, point.gradient[rank], row[rank]);
  team.sync();  // all have read the gradient
  if (team.rank() == 0) point.codes[rank] = static_cast<std::int8_t>(point.codes[rank] + d);
  for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
    point.gradient[j] += std::int64_t{d} * row[j];
  }
  team.sync();
}

/// One sweep of descent, whose step i visits the rank order(i); whether it moved a code.
template <class Team, class Order>
QNUDGE_HOST_DEVICE bool sweep_codes(const Team& team, const GramProblem& p, std::int64_t k, const GramPoint& point,
                                    const Order& order, std::int64_t& error) {
  const auto step = [&](std::int64_t i) {
    const std::int64_t rank = order(i);
    return p.descent(point.codes[rank], point.gradient[rank], p.row(k, rank)[rank]);
  };
  bool moved = false;
  for (std::int64_t i = 0;; ++i) {
    // Until a code moves, no gradient changes: all rows up to the next step can be looked at together.
    i = team.first_where(i, p.taps, [&](std::int64_t at) { return step(at) != 0; });
    if (i >= p.taps) return moved;
    move_code(team, p, k, point, order(i), step(i), error);
    moved = true;
  }
}

QNUDGE_HOST_DEVICE GramPoint elite_point(const GramProblem& p, const GramElites& elites, std::int64_t k,
                                         std::int64_t e) {
  const std::int64_t at = (k * p.lineages.elites + e) * p.taps;
  return {elites.codes + at, elites.gradient + at};
}

/// Bytes of a point, which a team can have in its scratch memory while it descends.
QNUDGE_HOST_DEVICE std::size_t point_bytes(const GramProblem& p) {
  return static_cast<std::size_t>(p.taps) * (sizeof(std::int64_t) + sizeof(std::int8_t));
}

/// Where to work on `point`: in scratch memory, whose content is undefined, or where it is.
template <class Team>
QNUDGE_HOST_DEVICE GramPoint workplace(const Team& team, const GramProblem& p, const GramPoint& point) {
  if constexpr (Team::kScratch) {
    auto* const gradient = reinterpret_cast<std::int64_t*>(team.scratch());
    return {reinterpret_cast<std::int8_t*>(gradient + p.taps), gradient};
  } else {
    return point;
  }
}

/// Every member copies the ranks that move_code has it change.
template <class Team>
QNUDGE_HOST_DEVICE void copy_point(const Team& team, const GramProblem& p, const GramPoint& from, const GramPoint& to) {
  for (std::int64_t r = team.rank(); r < p.taps; r += team.size()) {
    to.codes[r] = from.codes[r];
    to.gradient[r] = from.gradient[r];
  }
}

/// The gain that suits the fittest elite best; c, gradients and errors of the first `count` elites follow.
template <class Team>
QNUDGE_HOST_DEVICE void fit_gain(const Team& team, const GramProblem& p, const GramElites& elites, std::int64_t k,
                                 std::int64_t count) {
  const GramPoint point = elite_point(p, elites, k, 0);
  std::int64_t* const scaled = elites.scaled + k * p.taps;
  const std::int64_t* const linear = p.linear + k * p.taps;
  std::int64_t product = 0, power = 0;
  for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
    product += point.codes[j] * linear[j];
    power += point.codes[j] * (point.gradient[j] + scaled[j]);
  }
  product = team.sum(product);
  power = team.sum(power);
  const double gain = fitted_gain(product, power, elites.gain[k]);
  for (std::int64_t e = 0; e < count; ++e) {
    const GramPoint elite = elite_point(p, elites, k, e);
    const bool last = e + 1 == count;
    std::int64_t error = 0;
    for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
      const std::int64_t c = scaled_linear(linear[j], gain, p.most[p.group(k) * p.taps + j]);
      const std::int64_t hq = elite.gradient[j] + scaled[j];
      elite.gradient[j] = hq - c;
      if (last) scaled[j] = c;
      error += elite.codes[j] * (hq - 2 * c);
    }
    error = team.sum(error);  // also: all have read the old gain
    if (team.rank() == 0) elites.error[k * p.lineages.elites + e] = error;
  }
  if (team.rank() == 0) elites.gain[k] = gain;
  team.sync();
}

}  // namespace qnudge
