// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/channel_population.hpp"
#include "qnudge/kernels/gram_problem.hpp"

/// Strategy "gram" on a device: one team for a channel, for one of its elites, or for one of its offspring.
namespace qnudge {

/// Team k * placed + e: elite e < placed of channel k <- codes, with the gain that stands in `elites`.
struct PlaceElite {
  GramProblem problem;
  GramElites elites;
  const std::int8_t* codes;  ///< [placed, K, taps] in the order of taps
  ChannelOutcome outcome;
  std::int64_t channels, placed;

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t i) const {
    const GramProblem& p = problem;
    const std::int64_t k = i / placed, e = i % placed;
    if (team.rank() == 0 && e == 0) outcome.fitness[k] = 0;
    if (p.frozen[k]) return;
    const GramPoint point = elite_point(p, elites, k, e);
    const std::int32_t* const tap = p.tap + p.group(k) * p.taps;
    const std::int8_t* const from = codes + (e * channels + k) * p.taps;
    for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) point.codes[j] = from[tap[j]];
    team.sync();
    std::int64_t error = 0;
    for (std::int64_t j = team.rank(); j < p.taps; j += team.size()) {
      std::int64_t sum = 0;
      // The matrix is symmetric: neighbours read neighbouring columns.
      for (std::int64_t t = 0; t < p.taps; ++t) sum += std::int64_t{p.row(k, t)[j]} * point.codes[t];
      const std::int64_t c = scaled_linear(p.linear[k * p.taps + j], elites.gain[k], p.most[p.group(k) * p.taps + j]);
      if (e == 0) elites.scaled[k * p.taps + j] = c;
      point.gradient[j] = sum - c;
      error += point.codes[j] * (sum - 2 * c);
    }
    error = team.sum(error);
    if (team.rank() != 0) return;
    elites.error[k * p.lineages.elites + e] = error;
    if (e == 0) outcome.fitness[k] = -gained_error(error, elites.gain[k]);
  }
};

/// Team k: the start's descent of the fittest elite; the others become its copies.
struct DescendChannel {
  GramProblem problem;
  GramElites elites;
  ChannelOutcome outcome;

  std::size_t scratch_bytes() const { return point_bytes(problem); }
  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const GramProblem& p = problem;
    if (p.frozen[k]) return;
    const GramPoint elite = elite_point(p, elites, k, 0), point = workplace(team, p, elite);
    std::int64_t* const errors = elites.error + k * p.lineages.elites;
    for (int fit = 0; fit < (p.joint_gain ? kStartFits : 1); ++fit) {
      std::int64_t error = errors[0];
      if constexpr (Team::kScratch) copy_point(team, p, elite, point);
      team.sync();
      for (int i = 0; i < kStartSweeps; ++i) {
        if (!sweep_codes(
                team, p, k, point, [](std::int64_t rank) { return rank; }, error))
          break;
      }
      if constexpr (Team::kScratch) copy_point(team, p, point, elite);
      if (team.rank() == 0) errors[0] = error;
      team.sync();
      if (p.joint_gain) fit_gain(team, p, elites, k, 1);
    }
    for (std::int64_t e = 1; e < p.lineages.elites; ++e) copy_point(team, p, elite, elite_point(p, elites, k, e));
    if (team.rank() != 0) return;
    for (std::int64_t e = 1; e < p.lineages.elites; ++e) errors[e] = errors[0];
    outcome.fitness[k] = -gained_error(errors[0], elites.gain[k]);
  }
};

/// Team k * P + j: offspring j of channel k, crossed or perturbed, and descended from.
struct EvolveOffspring {
  GramProblem problem;
  GramElites elites;
  std::int8_t* codes;      ///< [K, P, taps] by rank
  std::int64_t* gradient;  ///< [K, P, taps]
  std::int64_t* errors;    ///< [K, P]
  const PopulationCounters* counters;

  std::size_t scratch_bytes() const { return point_bytes(problem); }
  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox& philox, std::int64_t i) const {
    const GramProblem& p = problem;
    const std::int64_t k = i / p.lineages.offspring;
    const auto j = static_cast<std::int32_t>(i % p.lineages.offspring);
    if (p.frozen[k]) return;
    const std::int32_t own = p.lineages.elite_of(counters->generation, j);
    const GramPoint elite = elite_point(p, elites, k, own), kept{codes + i * p.taps, gradient + i * p.taps};
    const GramPoint point = workplace(team, p, kept);
    copy_point(team, p, elite, point);
    std::int64_t error = elites.error[k * p.lineages.elites + own];
    team.sync();
    if (!cross(team, philox, k, j, own, point, error)) perturb(team, philox, k, j, point, error);
    const RowOrder rows = order(philox, j);
    for (int sweep = 0; sweep < kOffspringSweeps && sweep_codes(team, p, k, point, rows, error); ++sweep) {
    }
    if constexpr (Team::kScratch) copy_point(team, p, point, kept);
    if (team.rank() == 0) errors[i] = error;
  }

 private:
  template <class Philox>
  QNUDGE_HOST_DEVICE U32x4 words(const Philox& philox, std::int32_t j, Purpose purpose, std::int64_t index = 0) const {
    return draw_block(philox, problem.seed, problem.address(j, counters->generation, purpose),
                      static_cast<std::uint32_t>(index / 4));
  }
  /// The word of the weight that has this rank.
  template <class Philox>
  QNUDGE_HOST_DEVICE std::uint32_t word(const Philox& philox, std::int64_t k, std::int32_t j, Purpose purpose,
                                        std::int64_t rank) const {
    const std::int64_t weight = k * problem.taps + problem.tap[problem.group(k) * problem.taps + rank];
    const U32x4 drawn = words(philox, j, purpose, weight);
    const std::int64_t which = weight % 4;  // an index that varies would put the words into memory
    return which == 0 ? drawn.v[0] : which == 1 ? drawn.v[1] : which == 2 ? drawn.v[2] : drawn.v[3];
  }
  template <class Philox>
  QNUDGE_HOST_DEVICE RowOrder order(const Philox& philox, std::int32_t j) const {
    if (!order_is_drawn(counters->generation, j)) return {.rows = problem.taps};
    const U32x4 drawn = words(philox, j, Purpose::row_order);
    return RowOrder::drawn(problem.taps, drawn.v[0], drawn.v[1]);
  }

  /// Moves every rank by step(rank), which no move changes; whether there was one.
  template <class Team, class Step>
  QNUDGE_HOST_DEVICE bool move_all(const Team& team, std::int64_t k, const GramPoint& point, std::int64_t& error,
                                   const Step& step) const {
    bool moved = false;
    for (std::int64_t rank = 0;; ++rank) {
      rank = team.first_where(rank, problem.taps, [&](std::int64_t r) { return step(r) != 0; });
      if (rank >= problem.taps) return moved;
      move_code(team, problem, k, point, rank, step(rank), error);
      moved = true;
    }
  }
  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE bool cross(const Team& team, const Philox& philox, std::int64_t k, std::int32_t j,
                                std::int32_t own, const GramPoint& point, std::int64_t& error) const {
    const U32x4 drawn = words(philox, j, Purpose::mate);
    const std::int32_t mate = problem.lineages.mate_of(own, drawn.v[0], drawn.v[1]);
    if (mate == own) return false;
    const std::int8_t* const codes_of_own = elite_point(problem, elites, k, own).codes;
    const std::int8_t* const codes_of_mate = elite_point(problem, elites, k, mate).codes;
    return move_all(team, k, point, error, [&](std::int64_t r) {
      const std::int32_t d = codes_of_mate[r] - codes_of_own[r];
      return d != 0 && Lineages::inherits(word(philox, k, j, Purpose::crossover, r)) ? d : 0;
    });
  }
  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void perturb(const Team& team, const Philox& philox, std::int64_t k, std::int32_t j,
                                  const GramPoint& point, std::int64_t& error) const {
    const std::int32_t own = problem.lineages.elite_of(counters->generation, j);
    const std::int8_t* const from = elite_point(problem, elites, k, own).codes;
    move_all(team, k, point, error,
             [&](std::int64_t r) { return problem.perturbation(from[r], word(philox, k, j, Purpose::perturb, r)); });
  }
};

/// Team k: every elite gives way to its fittest offspring if that is fitter, and no other elite's equal; now and then
/// the gain is fitted.
struct SelectOffspring {
  GramProblem problem;
  GramElites elites;
  const std::int8_t* codes;      ///< [K, P, taps]
  const std::int64_t* gradient;  ///< [K, P, taps]
  const std::int64_t* errors;    ///< [K, P]
  ChannelOutcome outcome;
  const PopulationCounters* counters;

  template <class Team, class Philox>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, const Philox&, std::int64_t k) const {
    const GramProblem& p = problem;
    if (p.frozen[k]) {
      if (team.rank() == 0) outcome.accepted[k] = 0;
      return;
    }
    const std::int64_t* const error = elites.error + k * p.lineages.elites;
    const std::int64_t before = error[0];
    for (std::int32_t e = 0; e < p.lineages.elites; ++e) take_fittest(team, k, e);
    put_fittest_first(team, k);
    const bool accepted = error[0] < before;
    if (p.joint_gain && (counters->generation + 1) % kFitEvery == 0) {
      fit_gain(team, p, elites, k, p.lineages.elites);
    }
    if (team.rank() != 0) return;
    outcome.accepted[k] = accepted ? 1 : 0;
    outcome.fitness[k] = -gained_error(error[0], elites.gain[k]);
  }

 private:
  QNUDGE_HOST_DEVICE static bool known(const std::int64_t* errors, std::int32_t count, std::int64_t error) {
    for (std::int32_t e = 0; e < count; ++e) {
      if (errors[e] == error) return true;
    }
    return false;
  }
  template <class Team>
  QNUDGE_HOST_DEVICE void take_fittest(const Team& team, std::int64_t k, std::int32_t e) const {
    const GramProblem& p = problem;
    const std::int32_t mu = p.lineages.elites, offspring = p.lineages.offspring;
    const std::int32_t first = p.lineages.first_of(counters->generation, e);
    std::int64_t* const own = elites.error + k * mu;
    const std::int32_t count = first < offspring ? (offspring - first + mu - 1) / mu : 0;
    const std::int32_t best = fitter_offspring(errors + k * offspring + first, mu, count, own[e]);
    const std::int64_t from = k * offspring + first + std::int64_t{best} * mu;
    const bool taken = best >= 0 && !known(own, mu, errors[from]);
    team.sync();  // all have read the elites' errors
    if (!taken) return;
    const GramPoint elite = elite_point(p, elites, k, e);
    for (std::int64_t r = team.rank(); r < p.taps; r += team.size()) {
      elite.codes[r] = codes[from * p.taps + r];
      elite.gradient[r] = gradient[from * p.taps + r];
    }
    if (team.rank() == 0) own[e] = errors[from];
    team.sync();
  }
  template <class Team>
  QNUDGE_HOST_DEVICE void put_fittest_first(const Team& team, std::int64_t k) const {
    std::int64_t* const own = elites.error + k * problem.lineages.elites;
    const std::int32_t best = fitter_offspring(own, 1, problem.lineages.elites, own[0]);
    const std::int64_t fittest = best < 0 ? 0 : own[best], first = own[0];
    team.sync();  // all have read the elites' errors
    if (best < 0) return;
    const GramPoint a = elite_point(problem, elites, k, 0), b = elite_point(problem, elites, k, best);
    for (std::int64_t r = team.rank(); r < problem.taps; r += team.size()) {
      const std::int8_t code = a.codes[r];
      const std::int64_t gradient_at = a.gradient[r];
      a.codes[r] = b.codes[r];
      a.gradient[r] = b.gradient[r];
      b.codes[r] = code;
      b.gradient[r] = gradient_at;
    }
    if (team.rank() == 0) {
      own[0] = fittest;
      own[best] = first;
    }
    team.sync();
  }
};

}  // namespace qnudge
