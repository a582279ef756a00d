// SPDX-License-Identifier: MIT
#include "gram_search.hpp"

#include <algorithm>

#include "gradient_loops.hpp"
#include "parallel.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

HostGramSearch::HostGramSearch(const IntNetwork& network, int layer, GramForm form, const GramOptions& options,
                               int threads)
    : form_(std::move(form)),
      options_(options),
      ordinal_(layer),
      threads_(threads),
      start_codes_(network.layer(layer).params.codes),
      descent_{form_.low, form_.high},
      perturbation_(perturb_rule(options.rate, form_.low, form_.high)),
      lineages_{options.parents, options.offspring},
      matrix_(form_.h.size()),
      diagonal_(form_.order.size()),
      rank_(form_.order.size()) {
  const std::int64_t taps = form_.taps;
  for (std::int64_t g = 0; g < form_.groups; ++g) {
    const std::int32_t* const order = form_.order.data() + g * taps;
    for (std::int64_t r = 0; r < taps; ++r) rank_[at(g * taps + order[r])] = static_cast<std::int32_t>(r);
    parallel_for(threads_, taps, [&](int, std::int64_t r) {
      const std::int32_t* const from = form_.matrix(g) + order[r] * taps;
      std::int32_t* const to = matrix_.data() + (g * taps + r) * taps;
      for (std::int64_t i = 0; i < taps; ++i) to[i] = from[order[i]];
      diagonal_[at(g * taps + r)] = to[r];
    });
  }
}

HostGramSearch::Point HostGramSearch::point_at(std::int64_t channel, const std::int8_t* codes) const {
  const std::int64_t taps = form_.taps, group = form_.group_of(channel);
  Point point;
  point.codes.resize(at(taps));
  point.gradient.resize(at(taps));
  for (std::int64_t r = 0; r < taps; ++r) point.gradient[at(r)] = -scaled_[at(channel)].linear[at(r)];
  for (std::int64_t j = 0; j < taps; ++j) move(point, channel, rank_[at(group * taps + j)], codes[j]);
  return point;
}

void HostGramSearch::move(Point& point, std::int64_t channel, std::int64_t rank, std::int32_t d) const {
  if (d == 0) return;
  const std::int32_t* const row = matrix_.data() + (form_.group_of(channel) * form_.taps + rank) * form_.taps;
  point.error += error_change(d, point.gradient[at(rank)], row[rank]);
  point.codes[at(rank)] += d;
  add_multiple(point.gradient.data(), row, d, form_.taps);
}

bool HostGramSearch::sweep(Point& point, std::int64_t channel, const RowOrder& order) const {
  const std::int32_t* const diagonal = diagonal_.data() + form_.group_of(channel) * form_.taps;
  bool moved = false;
  std::int64_t rank = order.offset;
  for (std::int64_t i = 0; i < form_.taps; ++i) {
    const std::int32_t d = descent_(point.codes[at(rank)], point.gradient[at(rank)], diagonal[rank]);
    move(point, channel, rank, d);
    moved = moved || d != 0;
    rank += order.stride;
    while (rank >= order.rows) rank -= order.rows;
  }
  return moved;
}

std::int64_t HostGramSearch::linear_at(std::int64_t channel, std::int64_t rank) const {
  return form_.c[at(channel * form_.taps + form_.order[at(form_.group_of(channel) * form_.taps + rank)])];
}

void HostGramSearch::set_gain(std::int64_t channel, double gain) {
  Scaled& scaled = scaled_[at(channel)];
  scaled.gain = gain;
  scaled.linear.resize(at(form_.taps));
  const std::int64_t first = form_.group_of(channel) * form_.taps;
  for (std::int64_t r = 0; r < form_.taps; ++r) {
    const std::int64_t most = form_.most[at(first + form_.order[at(first + r)])];
    scaled.linear[at(r)] = scaled_linear(linear_at(channel, r), gain, most);
  }
}

void HostGramSearch::fit_gain(std::int64_t channel) {
  Elites& elites = elites_[at(channel)];
  Scaled& scaled = scaled_[at(channel)];
  for (Point& elite : elites) {
    for (std::int64_t r = 0; r < form_.taps; ++r) elite.gradient[at(r)] += scaled.linear[at(r)];  // h q
  }
  std::int64_t linear = 0, power = 0;
  for (std::int64_t r = 0; r < form_.taps; ++r) {
    linear += elites.front().codes[at(r)] * linear_at(channel, r);
    power += elites.front().codes[at(r)] * elites.front().gradient[at(r)];
  }
  set_gain(channel, fitted_gain(linear, power, scaled.gain));
  for (Point& elite : elites) {
    elite.error = 0;
    for (std::int64_t r = 0; r < form_.taps; ++r) {
      elite.error += elite.codes[at(r)] * (elite.gradient[at(r)] - 2 * scaled.linear[at(r)]);
      elite.gradient[at(r)] -= scaled.linear[at(r)];
    }
  }
}

/// The first elite's, which still is the only one.
void HostGramSearch::descend(std::int64_t channel) {
  for (int fit = 0; fit < (options_.joint_gain ? kStartFits : 1); ++fit) {
    Point& elite = elites_[at(channel)].front();
    for (int i = 0; i < kStartSweeps && sweep(elite, channel, {.rows = form_.taps}); ++i) stop_point();
    if (options_.joint_gain) fit_gain(channel);
  }
}

std::int64_t HostGramSearch::error_of(std::int64_t channel) const {
  return searched(channel) ? gained_error(elites_[at(channel)].front().error, scaled_[at(channel)].gain) : 0;
}

DrawAddress HostGramSearch::address(std::int32_t offspring, Purpose purpose) const {
  return {static_cast<std::uint32_t>(offspring), static_cast<std::uint32_t>(generation_),
          static_cast<std::uint32_t>(ordinal_), purpose};
}

/// Moves the code of every rank by step(rank, word of its weight).
template <class Step>
void HostGramSearch::move_all(Point& point, std::int64_t channel, const DrawAddress& address, const Step& step) const {
  const std::int64_t first = channel * form_.taps, last = first + form_.taps;
  const std::int32_t* const rank = rank_.data() + form_.group_of(channel) * form_.taps;
  for (std::int64_t block = first / 4; block * 4 < last; ++block) {
    const U32x4 words = draw_block(Random123Philox{}, options_.seed, address, static_cast<std::uint32_t>(block));
    for (std::int64_t weight = std::max(first, block * 4); weight < std::min(last, block * 4 + 4); ++weight) {
      const std::int64_t r = rank[weight - first];
      move(point, channel, r, step(r, words.v[weight % 4]));
    }
  }
}

/// Whether the offspring, a copy of elite `own`, took anything from another.
bool HostGramSearch::cross(Point& point, std::int64_t channel, std::int32_t offspring, std::int32_t own) const {
  const U32x4 drawn = draw_block(Random123Philox{}, options_.seed, address(offspring, Purpose::mate), 0);
  const std::int32_t mate = lineages_.mate_of(own, drawn.v[0], drawn.v[1]);
  if (mate == own) return false;
  const std::vector<std::int32_t>& codes = elites_[at(channel)][at(mate)].codes;
  bool moved = false;
  move_all(point, channel, address(offspring, Purpose::crossover), [&](std::int64_t r, std::uint32_t word) {
    const std::int32_t d = Lineages::inherits(word) ? codes[at(r)] - point.codes[at(r)] : 0;
    moved = moved || d != 0;
    return d;
  });
  return moved;
}

void HostGramSearch::perturb(Point& point, std::int64_t channel, std::int32_t offspring) const {
  move_all(point, channel, address(offspring, Purpose::perturb),
           [&](std::int64_t r, std::uint32_t word) { return perturbation_(point.codes[at(r)], word); });
}

RowOrder HostGramSearch::row_order(std::int32_t offspring) const {
  if (!order_is_drawn(generation_, offspring)) return {.rows = form_.taps};
  const U32x4 words = draw_block(Random123Philox{}, options_.seed, address(offspring, Purpose::row_order), 0);
  return RowOrder::drawn(form_.taps, words.v[0], words.v[1]);
}

void HostGramSearch::evolve_channel(std::int64_t channel, Scratch& scratch) {
  Elites& elites = elites_[at(channel)];
  scratch.fittest.resize(elites.size());
  for (std::size_t e = 0; e < elites.size(); ++e) scratch.fittest[e].error = elites[e].error;
  Point& point = scratch.offspring;
  for (std::int32_t offspring = 0; offspring < options_.offspring; ++offspring) {
    stop_point();
    const std::int32_t own = lineages_.elite_of(generation_, offspring);
    point = elites[at(own)];
    if (!cross(point, channel, offspring, own)) perturb(point, channel, offspring);
    const RowOrder order = row_order(offspring);
    for (int i = 0; i < kOffspringSweeps && sweep(point, channel, order); ++i) {
    }
    if (point.error < scratch.fittest[at(own)].error) std::swap(scratch.fittest[at(own)], point);
  }
  accepted_[at(channel)] = select_offspring(elites, scratch.fittest) ? 1 : 0;
}

/// Every elite gives way to its fittest offspring if that is fitter, and no other elite's equal. Whether the fittest
/// elite is a fitter one than before.
bool HostGramSearch::select_offspring(Elites& elites, std::vector<Point>& fittest) {
  const std::int64_t before = elites.front().error;
  const auto by_error = [](const Point& a, const Point& b) { return a.error < b.error; };
  for (std::size_t e = 0; e < elites.size(); ++e) {
    const auto same = [&](const Point& other) { return other.error == fittest[e].error; };
    if (std::none_of(elites.begin(), elites.end(), same)) std::swap(elites[e], fittest[e]);
  }
  std::iter_swap(elites.begin(), std::min_element(elites.begin(), elites.end(), by_error));
  return elites.front().error < before;
}

void HostGramSearch::evaluate(std::int32_t) {
  before_ = save();
  std::vector<Scratch> scratch(static_cast<std::size_t>(threads_));
  parallel_for(threads_, form_.channels, [&](int thread, std::int64_t channel) {
    if (searched(channel)) evolve_channel(channel, scratch[static_cast<std::size_t>(thread)]);
  });
}

void HostGramSearch::select() {
  const auto accepted = static_cast<std::int32_t>(std::count(accepted_.begin(), accepted_.end(), 1));
  ++generation_;
  if (options_.joint_gain && generation_ % kFitEvery == 0) {
    parallel_for(threads_, form_.channels, [&](int, std::int64_t k) {
      if (searched(k)) fit_gain(k);
    });
  }
  publish();
  std::int64_t worst = 0;
  for (std::int64_t k = 0; k < form_.channels; ++k) worst = std::max(worst, error_of(k));
  history_.push_back({generation_, mailbox_.best, -worst, accepted});
  before_.reset();
}

std::int64_t HostGramSearch::total_error() const {
  std::int64_t total = 0;
  for (std::int64_t k = 0; k < form_.channels; ++k) total += error_of(k);
  return total;
}

void HostGramSearch::publish() {
  mailbox_.best = -total_error();
  mailbox_.generation = generation_;
}

/// As many elites of every channel as there are genomes in `codes`.
void HostGramSearch::place(std::span<const std::int8_t> codes, const std::vector<double>& gains) {
  elites_.assign(at(form_.channels), {});
  scaled_.assign(at(form_.channels), {});
  accepted_.assign(at(form_.channels), 0);
  parallel_for(threads_, form_.channels, [&](int, std::int64_t k) {
    if (!searched(k)) return;
    set_gain(k, gains[at(k)]);
    for (std::size_t genome = 0; genome < codes.size(); genome += start_codes_.size()) {
      elites_[at(k)].push_back(point_at(k, codes.data() + genome + k * form_.taps));
    }
  });
}

void HostGramSearch::start() {
  place(start_codes_, std::vector<double>(at(form_.channels), 1.0));
  start_fitness_ = -total_error();
  parallel_for(threads_, form_.channels, [&](int, std::int64_t k) {
    if (!searched(k)) return;
    descend(k);
    elites_[at(k)].resize(at(options_.parents), Point(elites_[at(k)].front()));
  });
  generation_ = 0;
  publish();
}

void HostGramSearch::restore(const PopulationState& state) {
  require(state.parents.size() == start_codes_.size() * at(options_.parents) &&
              state.fitness.size() == at(form_.channels) && state.gains.size() == at(form_.channels),
          ErrorKind::input,
          "checkpoint: {} codes, {} errors and {} gains do not fit {} parents of a layer of {} codes and {} channels",
          state.parents.size(), state.fitness.size(), state.gains.size(), options_.parents, start_codes_.size(),
          form_.channels);
  place(state.parents, state.gains);
  start_fitness_ = state.start_fitness;
  generation_ = state.generation;
  publish();
}

void HostGramSearch::repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) {
  while (generation_ < limit && !stop) body();
}

PopulationState HostGramSearch::save() const {
  if (before_) return *before_;
  PopulationState state{generation_, start_fitness_, {}, {}, {}};
  for (std::int32_t e = 0; e < options_.parents; ++e) {
    state.parents.insert(state.parents.end(), start_codes_.begin(), start_codes_.end());
  }
  for (std::int64_t k = 0; k < form_.channels; ++k) {
    state.fitness.push_back(-error_of(k));
    state.gains.push_back(scaled_[at(k)].gain);
    if (!searched(k)) continue;
    const std::int32_t* const rank = rank_.data() + form_.group_of(k) * form_.taps;
    for (std::size_t e = 0; e < elites_[at(k)].size(); ++e) {
      std::int8_t* const codes = state.parents.data() + e * start_codes_.size() + at(k * form_.taps);
      for (std::int64_t j = 0; j < form_.taps; ++j) {
        codes[j] = static_cast<std::int8_t>(elites_[at(k)][e].codes[at(rank[j])]);
      }
    }
  }
  return state;
}

std::vector<GenerationRecord> HostGramSearch::take_history() {
  return std::exchange(history_, {});
}

}  // namespace qnudge
