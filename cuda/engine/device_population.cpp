// SPDX-License-Identifier: MIT
#include "device_population.hpp"

#include <algorithm>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/quant/residual.hpp"

namespace qnudge::cuda {

DevicePopulation::DevicePopulation(Device& device, GenerationLog& log, const Layer& layer, int ordinal,
                                   const PopulationOptions& options, std::span<const std::int16_t> residual_targets,
                                   std::int64_t images)
    : device_(device),
      options_(options),
      genes_(layer.filter.size()),
      images_(images),
      start_codes_(layer.params.codes),
      log_(log) {
  require(options.parents + options.offspring <= kMaxPopulation, ErrorKind::device,
          "search.parents and search.offspring are {} and {}; the device ranks at most {} genomes together",
          options.parents, options.offspring, kMaxPopulation);
  const auto mu = static_cast<std::size_t>(options.parents), lambda = static_cast<std::size_t>(options.offspring);
  const auto genes = static_cast<std::size_t>(genes_);
  frozen_ = {device_, std::span(layer.params.frozen), "the frozen channels"};
  parents_ = {device_, mu * genes, "the parents"};
  filters_ = {device_, static_cast<std::size_t>(resident()) * genes, "the candidates' filters"};
  slot_ = {device_, mu, "the ranking"};
  parent_fitness_ = {device_, mu, "the fitness"};
  new_fitness_ = {device_, mu, "the fitness"};
  offspring_fitness_ = {device_, lambda, "the fitness"};
  survivors_ = {device_, mu, "the ranking"};
  scratch_ = {device_, 4 * mu, "the ranking"};
  counters_ = {device_, 1, "the counters"};

  rule_ = {{}, nullptr, frozen_.data(), genes_, layer.filter.taps(), options.seed, static_cast<std::uint32_t>(ordinal)};
  rule_.mutation.kind = options.mutation;
  rule_.mutation.low = -(1 << (layer.params.bits - 1));
  rule_.mutation.high = (1 << (layer.params.bits - 1)) - 1;
  if (options.mutation == MutationKind::uniform) {
    rule_.mutation.uniform = uniform_thresholds(options.rate);
    return;
  }
  require(residual_targets.size() == start_codes_.size(), ErrorKind::internal,
          "layer '{}': residual mutation needs one target per weight", layer.name);
  const std::vector<std::int16_t> targets(residual_targets.begin(), residual_targets.end());
  const std::vector<std::uint32_t> thresholds =
      residual_thresholds(start_codes_, targets, options.rate, layer.params.frozen);
  targets_ = {device_, residual_targets, "the residuals"};
  residual_thresholds_ = {device_, std::span(thresholds), "the mutation's thresholds"};
  rule_.targets = targets_.data();
  rule_.mutation.residual_thresholds = residual_thresholds_.data();
}

std::pair<std::int32_t, std::int32_t> DevicePopulation::chunk_range(std::int32_t chunk) const {
  const std::int32_t size = options_.chunk > 0 ? std::min(options_.chunk, options_.offspring) : options_.offspring;
  const std::int32_t first = chunk * size;
  return {first, std::min(first + size, options_.offspring)};
}

std::int32_t DevicePopulation::chunks() const {
  return (options_.offspring + resident() - 1) / resident();
}

void DevicePopulation::fill_with_start() {
  for (std::int32_t p = 0; p < resident(); ++p) filters_.set(start_codes_, static_cast<std::size_t>(p * genes_));
}

void DevicePopulation::set_parents(std::span<const std::int8_t> codes, std::span<const std::int64_t> fitness,
                                   std::int32_t generation) {
  std::vector<std::int32_t> slots(slot_.size());
  std::iota(slots.begin(), slots.end(), 0);
  parents_.set(codes);
  slot_.set(slots);
  parent_fitness_.set(fitness);
  const PopulationCounters counters{generation, 0};
  counters_.set({&counters, 1});
  log_.begin(generation, fitness.front());
}

void DevicePopulation::begin(std::int64_t fitness) {
  std::vector<std::int8_t> codes;
  for (std::int32_t p = 0; p < options_.parents; ++p)
    codes.insert(codes.end(), start_codes_.begin(), start_codes_.end());
  start_fitness_ = fitness;
  set_parents(codes, std::vector<std::int64_t>(parent_fitness_.size(), fitness), 0);
}

void DevicePopulation::restore(const PopulationState& state) {
  require(state.parents.size() == parents_.size() && state.fitness.size() == parent_fitness_.size(), ErrorKind::input,
          "the checkpoint's population has {} codes and {} fitness values; this layer needs {} and {}",
          state.parents.size(), state.fitness.size(), parents_.size(), parent_fitness_.size());
  start_fitness_ = state.start_fitness;
  set_parents(state.parents, state.fitness, state.generation);
}

PopulationState DevicePopulation::save() const {
  PopulationState state{log_.generation(), start_fitness_, {}, parent_fitness_.get(), {}};
  const std::vector<std::int8_t> parents = parents_.get();
  for (const std::int32_t slot : slot_.get()) {
    const auto first = parents.begin() + slot * genes_;
    state.parents.insert(state.parents.end(), first, first + genes_);
  }
  return state;
}

void DevicePopulation::append_mutation(Program& program, std::int32_t chunk) const {
  const auto [first, last] = chunk_range(chunk);
  program.add(0, ForEachDrawing{MutateOffspring{rule_, parents_.data(), slot_.data(), filters_.data(), counters_.data(),
                                                first, options_.parents},
                                (last - first) * rule_.blocks()});
}

void DevicePopulation::append_selection(Program& program) const {
  program.add(0, Rank{{parent_fitness_.data(), offspring_fitness_.data(), slot_.data(), survivors_.data(),
                       scratch_.data(), new_fitness_.data(), counters_.data(), options_.parents, options_.offspring}});
  for (const bool in_place : {false, true}) {
    program.add(
        0, ForEachDrawing{RegenerateSurvivors{rule_, parents_.data(), survivors_.data(), counters_.data(), in_place},
                          options_.parents * rule_.blocks()});
  }
  program.add(0, EndGeneration{counters_.data(), parent_fitness_.data(), log_.records(), &log_.mailbox(),
                               options_.parents, log_.first_generation(), options_.offspring * images_});
}

}  // namespace qnudge::cuda
