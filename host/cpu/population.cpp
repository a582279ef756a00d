// SPDX-License-Identifier: MIT
#include "population.hpp"

#include <algorithm>
#include <numeric>

#include "parallel.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/kernels/select.hpp"
#include "qnudge/quant/residual.hpp"

namespace qnudge {

HostPopulation::HostPopulation(const Layer& layer, int ordinal, const PopulationOptions& options,
                               std::span<const std::int16_t> residual_targets, std::int64_t images, int threads)
    : genes_(layer.filter.size()),
      taps_(layer.filter.taps()),
      images_(images),
      ordinal_(ordinal),
      threads_(threads),
      options_(options),
      frozen_(layer.params.frozen),
      start_codes_(layer.params.codes),
      targets_(residual_targets.begin(), residual_targets.end()) {
  rule_.kind = options.mutation;
  rule_.low = -(1 << (layer.params.bits - 1));
  rule_.high = (1 << (layer.params.bits - 1)) - 1;
  if (options.mutation == MutationKind::uniform) {
    rule_.uniform = uniform_thresholds(options.rate);
  } else {
    require(targets_.size() == start_codes_.size(), ErrorKind::internal,
            "layer '{}': residual mutation needs one target per weight", layer.name);
    residual_thresholds_ = residual_thresholds(start_codes_, targets_, options.rate, frozen_);
    rule_.residual_thresholds = residual_thresholds_.data();
  }
  const auto mu = static_cast<std::size_t>(options.parents);
  parents_.resize(mu * static_cast<std::size_t>(genes_));
  offspring_.resize(static_cast<std::size_t>(chunk_range(0).second) * static_cast<std::size_t>(genes_));
  slot_.resize(mu);
  parent_fitness_.resize(mu);
  offspring_fitness_.resize(static_cast<std::size_t>(options.offspring));
}

std::pair<std::int32_t, std::int32_t> HostPopulation::chunk_range(std::int32_t chunk) const {
  const std::int32_t size = options_.chunk > 0 ? std::min(options_.chunk, options_.offspring) : options_.offspring;
  const std::int32_t first = chunk * size;
  return {first, std::min(first + size, options_.offspring)};
}

std::int32_t HostPopulation::chunks() const {
  const std::int32_t size = chunk_range(0).second;
  return (options_.offspring + size - 1) / size;
}

void HostPopulation::start() {
  for (std::int32_t s = 0; s < options_.parents; ++s) std::copy(start_codes_.begin(), start_codes_.end(), parent(s));
  std::iota(slot_.begin(), slot_.end(), 0);
  score(start_codes_, {&start_fitness_, 1});
  std::fill(parent_fitness_.begin(), parent_fitness_.end(), start_fitness_);
  generation_ = 0;
  mailbox_.best = start_fitness_;
  mailbox_.generation = 0;
}

void HostPopulation::restore(const PopulationState& state) {
  require(state.parents.size() == parents_.size() && state.fitness.size() == parent_fitness_.size(), ErrorKind::input,
          "the checkpoint's population has {} codes and {} fitness values; this layer needs {} and {}",
          state.parents.size(), state.fitness.size(), parents_.size(), parent_fitness_.size());
  parents_ = state.parents;
  parent_fitness_ = state.fitness;
  start_fitness_ = state.start_fitness;
  generation_ = state.generation;
  std::iota(slot_.begin(), slot_.end(), 0);
  mailbox_.best = parent_fitness_.front();
  mailbox_.generation = generation_;
}

void HostPopulation::mutate_genome(const std::int8_t* from, std::int8_t* to, std::int32_t offspring) const {
  const DrawAddress at{static_cast<std::uint32_t>(offspring), static_cast<std::uint32_t>(generation_),
                       static_cast<std::uint32_t>(ordinal_), Purpose::mutate};
  const std::int16_t* targets = targets_.empty() ? nullptr : targets_.data();
  for (std::int64_t i = 0; i < genes_; i += 4) {
    const U32x4 words = draw_block(Random123Philox{}, options_.seed, at, static_cast<std::uint32_t>(i / 4));
    const std::int64_t end = std::min<std::int64_t>(4, genes_ - i);
    for (std::int64_t j = 0; j < end; ++j) {
      to[i + j] = rule_(from[i + j], targets ? targets[i + j] : 0, words.v[j]);
    }
  }
  for (std::size_t k = 0; k < frozen_.size(); ++k) {
    if (frozen_[k]) std::fill_n(to + static_cast<std::int64_t>(k) * taps_, taps_, std::int8_t{0});
  }
}

void HostPopulation::mutate(std::int32_t chunk) {
  const auto [first, last] = chunk_range(chunk);
  parallel_for(threads_, last - first, [&, first = first](int, std::int64_t i) {
    const auto j = first + static_cast<std::int32_t>(i);
    mutate_genome(parent(slot_[static_cast<std::size_t>(j % options_.parents)]), offspring_.data() + i * genes_, j);
  });
}

void HostPopulation::evaluate(std::int32_t chunk) {
  const auto [first, last] = chunk_range(chunk);
  const auto count = static_cast<std::size_t>(last - first);
  score(std::span(offspring_).first(count * static_cast<std::size_t>(genes_)),
        std::span(offspring_fitness_).subspan(static_cast<std::size_t>(first), count));
  mailbox_.candidate_images += static_cast<std::int64_t>(count) * images_;
}

void HostPopulation::select() {
  const std::int32_t mu = options_.parents;
  std::vector<std::int32_t> order(static_cast<std::size_t>(mu + options_.offspring));
  std::iota(order.begin(), order.end(), 0);
  const FitterRule fitter{parent_fitness_.data(), offspring_fitness_.data(), mu};
  std::partial_sort(order.begin(), order.begin() + mu, order.end(), fitter);

  std::vector<Survivor> survivors(static_cast<std::size_t>(mu));
  std::vector<std::int32_t> scratch(static_cast<std::size_t>(4 * mu));
  const std::int32_t count = plan_survivors(order.data(), mu, slot_.data(), survivors.data(), scratch.data());
  for (std::int32_t i = 0; i < count; ++i) {
    const Survivor& s = survivors[static_cast<std::size_t>(i)];
    mutate_genome(parent(s.from), parent(s.to), s.offspring);
  }
  std::vector<std::int64_t> fitness(static_cast<std::size_t>(mu));
  for (std::int32_t r = 0; r < mu; ++r)
    fitness[static_cast<std::size_t>(r)] = fitter.fitness(order[static_cast<std::size_t>(r)]);
  parent_fitness_ = std::move(fitness);

  ++generation_;
  history_.push_back({generation_, parent_fitness_.front(), parent_fitness_.back(), count});
  mailbox_.best = parent_fitness_.front();
  mailbox_.generation = generation_;
}

void HostPopulation::repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) {
  while (generation_ < limit && !stop) body();
}

PopulationState HostPopulation::save() const {
  PopulationState state{generation_, start_fitness_, {}, parent_fitness_};
  state.parents.reserve(parents_.size());
  for (std::int32_t slot : slot_) {
    const auto first = parents_.begin() + slot * genes_;
    state.parents.insert(state.parents.end(), first, first + genes_);
  }
  return state;
}

std::vector<GenerationRecord> HostPopulation::take_history() {
  return std::exchange(history_, {});
}

}  // namespace qnudge
