// SPDX-License-Identifier: MIT
#include "gram_search.hpp"

#include <numeric>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

EngineGramSearch::EngineGramSearch(const DeviceNetwork& network, int layer, const GramForm& form,
                                   const GramOptions& options)
    : RecordedSearch(network.device(), network.description().layer(layer).name),
      start_codes_(network.description().layer(layer).params.codes),
      order_(form.order),
      frozen_(form.frozen),
      channels_(form.channels),
      taps_(form.taps),
      group_channels_(form.channels / form.groups),
      lineages_{options.parents, options.offspring} {
  upload_form(form, options);
  problem_.layer = static_cast<std::uint32_t>(layer);
  const std::size_t genes = at(channels_ * taps_), elites = at(channels_ * lineages_.elites);
  const std::size_t population = at(channels_ * lineages_.offspring);
  codes_ = {device_, elites * at(taps_), "the elites"};
  gradient_ = {device_, elites * at(taps_), "the elites' gradients"};
  error_ = {device_, elites, "the elites' errors"};
  scaled_ = {device_, genes, "the scaled targets"};
  gain_ = {device_, at(channels_), "the gains"};
  offspring_codes_ = {device_, population * at(taps_), "the offspring"};
  offspring_gradient_ = {device_, population * at(taps_), "the offspring's gradients"};
  offspring_error_ = {device_, population, "the offspring's errors"};
  fitness_ = {device_, at(channels_), "the fitness"};
  accepted_ = {device_, at(channels_), "the ranking"};
  counters_ = {device_, 1, "the counters"};
  elites_ = {codes_.data(), gradient_.data(), error_.data(), scaled_.data(), gain_.data()};
}

void EngineGramSearch::upload_form(const GramForm& form, const GramOptions& options) {
  std::vector<std::int32_t> matrix(form.h.size());
  std::vector<std::int64_t> most(form.order.size()), linear(form.c.size());
  for (std::int64_t g = 0; g < form.groups; ++g) {
    const std::int32_t* const tap = form.order.data() + g * taps_;
    for (std::int64_t r = 0; r < taps_; ++r) {
      const std::int32_t* const row = form.matrix(g) + tap[r] * taps_;
      for (std::int64_t i = 0; i < taps_; ++i) matrix[at((g * taps_ + r) * taps_ + i)] = row[tap[i]];
      most[at(g * taps_ + r)] = form.most[at(g * taps_ + tap[r])];
    }
  }
  for (std::int64_t k = 0; k < channels_; ++k) {
    const std::int32_t* const tap = form.order.data() + form.group_of(k) * taps_;
    for (std::int64_t r = 0; r < taps_; ++r) linear[at(k * taps_ + r)] = form.c[at(k * taps_ + tap[r])];
  }
  matrix_ = {device_, std::span<const std::int32_t>(matrix), "the Gram matrix"};
  tap_ = {device_, std::span(order_), "the order of taps"};
  most_ = {device_, std::span<const std::int64_t>(most), "the bounds"};
  linear_ = {device_, std::span<const std::int64_t>(linear), "the targets"};
  device_frozen_ = {device_, std::span(frozen_), "the frozen channels"};
  problem_ = {.matrix = matrix_.data(),
              .tap = tap_.data(),
              .most = most_.data(),
              .linear = linear_.data(),
              .frozen = device_frozen_.data(),
              .taps = taps_,
              .group_channels = group_channels_,
              .descent = {form.low, form.high},
              .perturbation = perturb_rule(options.rate, form.low, form.high),
              .lineages = lineages_,
              .seed = options.seed,
              .layer = 0,
              .joint_gain = options.joint_gain};
}

void EngineGramSearch::set_generation(std::int32_t generation) {
  const PopulationCounters counters{generation, 0};
  counters_.set({&counters, 1});
  const std::vector<std::int64_t> fitness = fitness_.get();
  log_.begin(generation, std::accumulate(fitness.begin(), fitness.end(), std::int64_t{0}));
}

std::int64_t EngineGramSearch::place(const std::vector<std::int8_t>& codes, const std::vector<double>& gains) {
  const DeviceArray<std::int8_t> placed(device_, std::span(codes), "the codes");
  gain_.set(gains);
  const auto genomes = static_cast<std::int64_t>(codes.size() / start_codes_.size());
  const PlaceElite place{problem_, elites_, placed.data(), {fitness_.data(), accepted_.data()}, channels_, genomes};
  Program program;
  program.add(0, ForEachTeam{place, channels_ * genomes});
  device_.run(program);
  return device_.sum(fitness_.data(), channels_);
}

void EngineGramSearch::start() {
  start_fitness_ = place(start_codes_, std::vector<double>(at(channels_), 1.0));
  Program program;
  program.add(0, ForEachTeam{DescendChannel{problem_, elites_, {fitness_.data(), accepted_.data()}}, channels_});
  device_.run(program);
  set_generation(0);
}

void EngineGramSearch::restore(const PopulationState& state) {
  require(state.parents.size() == start_codes_.size() * at(lineages_.elites) && state.fitness.size() == at(channels_) &&
              state.gains.size() == at(channels_),
          ErrorKind::input,
          "checkpoint: {} codes, {} errors and {} gains do not fit {} parents of a layer of {} codes and {} channels",
          state.parents.size(), state.fitness.size(), state.gains.size(), lineages_.elites, start_codes_.size(),
          channels_);
  place(state.parents, state.gains);
  start_fitness_ = state.start_fitness;
  set_generation(state.generation);
}

void EngineGramSearch::evaluate(std::int32_t) {
  recorded().add(0, ForEachTeam{EvolveOffspring{problem_, elites_, offspring_codes_.data(), offspring_gradient_.data(),
                                                offspring_error_.data(), counters_.data()},
                                channels_ * lineages_.offspring});
}

void EngineGramSearch::select() {
  const ChannelOutcome outcome{fitness_.data(), accepted_.data()};
  recorded().add(0, ForEachTeam{SelectOffspring{problem_, elites_, offspring_codes_.data(), offspring_gradient_.data(),
                                                offspring_error_.data(), outcome, counters_.data()},
                                channels_});
  recorded().add(0, EndChannels{.counters = counters_.data(),
                                .outcome = outcome,
                                .history = log_.records(),
                                .mailbox = &log_.mailbox(),
                                .channels = channels_,
                                .best_worst = 0,
                                .first_generation = log_.first_generation(),
                                .candidate_images = 0});
}

PopulationState EngineGramSearch::save() const {
  PopulationState state{log_.generation(), start_fitness_, {}, fitness_.get(), gain_.get()};
  const std::vector<std::int8_t> codes = codes_.get();
  for (std::int64_t e = 0; e < lineages_.elites; ++e) {
    state.parents.insert(state.parents.end(), start_codes_.begin(), start_codes_.end());
    std::int8_t* const genome = state.parents.data() + at(e * channels_ * taps_);
    for (std::int64_t k = 0; k < channels_; ++k) {
      if (frozen_[at(k)] != 0) continue;
      const std::int32_t* const tap = order_.data() + k / group_channels_ * taps_;
      const std::int8_t* const elite = codes.data() + (k * lineages_.elites + e) * taps_;
      for (std::int64_t r = 0; r < taps_; ++r) genome[k * taps_ + tap[r]] = elite[r];
    }
  }
  return state;
}

}  // namespace qnudge::cuda
