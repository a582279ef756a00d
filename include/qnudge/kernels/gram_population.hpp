// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/channel_population.hpp"
#include "qnudge/kernels/descent.hpp"

/// Strategy "gram" on a device (quant/gram.hpp, kernels/descent.hpp): one team for a channel, or for one offspring of a
/// channel. Everything "by rank" lies in falling order of the diagonal.
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

/// The elites of all channels.
struct GramElites {
  std::int8_t* codes;      ///< [K, taps] by rank
  std::int64_t* gradient;  ///< [K, taps] by rank
  std::int64_t* scaled;    ///< [K, taps] by rank: c over the gain
  std::int64_t* error;     ///< [K] at that c
  double* gain;            ///< [K]
  QNUDGE_HOST_DEVICE GramPoint point(std::int64_t k, std::int64_t taps) const {
    return {codes + k * taps, gradient + k * taps};
  }
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

/// One sweep of descent; whether it moved a code.
template <class Team>
QNUDGE_HOST_DEVICE bool sweep_codes(const Team& team, const GramProblem& p, std::int64_t k, const GramPoint& point,
                                    const RowOrder& order, std::int64_t& error) {
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

/// The gain that suits the elite best; c, gradient and error follow.
template <class Team>
QNUDGE_HOST_DEVICE void fit_gain(const Team& team, const GramProblem& p, const GramElites& elites, std::int64_t k) {
  const GramPoint point = elites.point(k, p.taps);
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
  std::int64_t twice = 0;
  for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
    const std::int64_t c = scaled_linear(linear[j], gain, p.most[p.group(k) * p.taps + j]);
    point.gradient[j] += scaled[j] - c;
    scaled[j] = c;
    twice += 2 * point.codes[j] * c;
  }
  twice = team.sum(twice);  // also: all have read the old gain
  if (team.rank() == 0) {
    elites.gain[k] = gain;
    elites.error[k] = power - twice;
  }
  team.sync();
}

/// Team k: elite <- codes with the gain that stands in `elites`.
struct PlaceChannel {
  GramProblem problem;
  GramElites elites;
  const std::int8_t* codes;  ///< [K, taps] in the order of taps
  ChannelOutcome outcome;

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const GramProblem& p = problem;
    if (team.rank() == 0) outcome.fitness[k] = 0;
    if (p.frozen[k]) return;
    const GramPoint point = elites.point(k, p.taps);
    const std::int32_t* const tap = p.tap + p.group(k) * p.taps;
    for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) point.codes[j] = codes[k * p.taps + tap[j]];
    team.sync();
    std::int64_t error = 0;
    for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
      const std::int32_t* const row = p.row(k, j);
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < p.taps; ++i) sum += std::int64_t{row[i]} * point.codes[i];
      const std::int64_t c = scaled_linear(p.linear[k * p.taps + j], elites.gain[k], p.most[p.group(k) * p.taps + j]);
      elites.scaled[k * p.taps + j] = c;
      point.gradient[j] = sum - c;
      error += point.codes[j] * (sum - 2 * c);
    }
    error = team.sum(error);
    if (team.rank() != 0) return;
    elites.error[k] = error;
    outcome.fitness[k] = -gained_error(error, elites.gain[k]);
  }
};

/// Team k: the start's descent.
struct DescendChannel {
  GramProblem problem;
  GramElites elites;
  ChannelOutcome outcome;

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const GramProblem& p = problem;
    if (p.frozen[k]) return;
    for (int fit = 0; fit < (p.joint_gain ? kStartFits : 1); ++fit) {
      std::int64_t error = elites.error[k];
      team.sync();
      for (int i = 0; i < kStartSweeps; ++i) {
        if (!sweep_codes(team, p, k, elites.point(k, p.taps), {.rows = p.taps}, error)) break;
      }
      if (team.rank() == 0) elites.error[k] = error;
      team.sync();
      if (p.joint_gain) fit_gain(team, p, elites, k);
    }
    if (team.rank() == 0) outcome.fitness[k] = -gained_error(elites.error[k], elites.gain[k]);
  }
};

/// Team k * P + j: offspring j of channel k, perturbed and descended from.
struct EvolveOffspring {
  GramProblem problem;
  GramElites elites;
  std::int8_t* codes;      ///< [K, P, taps] by rank
  std::int64_t* gradient;  ///< [K, P, taps]
  std::int64_t* errors;    ///< [K, P]
  const PopulationCounters* counters;
  std::int32_t offspring;  ///< P

  template <class Philox>
  QNUDGE_HOST_DEVICE RowOrder order(const Philox& philox, std::int32_t j) const {
    const std::int32_t generation = counters->generation;
    if (!order_is_drawn(generation, j)) return {.rows = problem.taps};
    const U32x4 words = draw_block(philox, problem.seed, problem.address(j, generation, Purpose::row_order), 0);
    return RowOrder::drawn(problem.taps, words.v[0], words.v[1]);
  }

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox& philox, std::int64_t i) const {
    const GramProblem& p = problem;
    const std::int64_t k = i / offspring;
    const auto j = static_cast<std::int32_t>(i % offspring);
    if (p.frozen[k]) return;
    const GramPoint elite = elites.point(k, p.taps), point{codes + i * p.taps, gradient + i * p.taps};
    for (std::int64_t r = team.rank(); r < p.taps; r += team.size()) {
      point.codes[r] = elite.codes[r];
      point.gradient[r] = elite.gradient[r];
    }
    std::int64_t error = elites.error[k];
    team.sync();
    const DrawAddress at = p.address(j, counters->generation, Purpose::perturb);
    const auto step = [&](std::int64_t rank) {
      const std::int64_t weight = k * p.taps + p.tap[p.group(k) * p.taps + rank];
      const U32x4 words = draw_block(philox, p.seed, at, static_cast<std::uint32_t>(weight / 4));
      return p.perturbation(elite.codes[rank], words.v[weight % 4]);
    };
    for (std::int64_t rank = 0;; ++rank) {
      rank = team.first_where(rank, p.taps, [&](std::int64_t r) { return step(r) != 0; });
      if (rank >= p.taps) break;
      move_code(team, p, k, point, rank, step(rank), error);
    }
    const RowOrder rows = order(philox, j);
    for (int sweep = 0; sweep < kOffspringSweeps && sweep_codes(team, p, k, point, rows, error); ++sweep) {
    }
    if (team.rank() == 0) errors[i] = error;
  }
};

/// Team k: takes its fittest offspring, and now and then fits its gain.
struct SelectOffspring {
  GramProblem problem;
  GramElites elites;
  const std::int8_t* codes;      ///< [K, P, taps]
  const std::int64_t* gradient;  ///< [K, P, taps]
  const std::int64_t* errors;    ///< [K, P]
  ChannelOutcome outcome;
  const PopulationCounters* counters;
  std::int32_t offspring;  ///< P

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const GramProblem& p = problem;
    if (p.frozen[k]) {
      if (team.rank() == 0) outcome.accepted[k] = 0;
      return;
    }
    const std::int32_t best = fitter_offspring(errors + k * offspring, 1, offspring, elites.error[k]);
    team.sync();  // all have read the elite's error
    if (best >= 0) {
      const std::int64_t from = (k * offspring + best) * p.taps;
      const GramPoint elite = elites.point(k, p.taps);
      for (std::int64_t r = team.rank(); r < p.taps; r += team.size()) {
        elite.codes[r] = codes[from + r];
        elite.gradient[r] = gradient[from + r];
      }
      if (team.rank() == 0) elites.error[k] = errors[k * offspring + best];
    }
    team.sync();
    if (p.joint_gain && (counters->generation + 1) % kFitEvery == 0) fit_gain(team, p, elites, k);
    if (team.rank() != 0) return;
    outcome.accepted[k] = best >= 0 ? 1 : 0;
    outcome.fitness[k] = -gained_error(elites.error[k], elites.gain[k]);
  }
};

}  // namespace qnudge
