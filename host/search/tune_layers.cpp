// SPDX-License-Identifier: MIT
// The part of a run that goes from layer to layer.
#include <nlohmann/json.hpp>

#include "evolve_layer.hpp"
#include "judgement.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/residual.hpp"
#include "qnudge/search/chance.hpp"
#include "sensitivity.hpp"
#include "timer.hpp"
#include "tune_run.hpp"

namespace qnudge {
namespace {

/// Tells the observer that a layer's mailbox is about to go, however the layer ends.
class LayerWatch {
 public:
  explicit LayerWatch(TuneObserver& observer) : observer_(observer) {}
  ~LayerWatch() {
    if (!finished_) observer_.layer_abandoned();
  }
  LayerWatch(const LayerWatch&) = delete;
  LayerWatch& operator=(const LayerWatch&) = delete;
  void finished() { finished_ = true; }

 private:
  TuneObserver& observer_;
  bool finished_ = false;
};

}  // namespace

void TuneRun::search() {
  observer_.stage("search");
  const Timer deadline(config().stop.seconds, earlier_seconds_, *request_.stop, timed_out_, halt_);
  search_begun_ = Clock::now();
  const int count = static_cast<int>(state_.order.entries.size());
  while (state_.stop_reason.empty()) {
    if (interrupted()) leave_interrupted();
    if (timed_out_ && !state_.population) {
      state_.stop_reason = "seconds";
    } else if (state_.position == count) {
      state_.stop_reason = "done";
    } else {
      search_layer(state_.position);
    }
    save(nullptr);
  }
}

void TuneRun::quantise_for_budget(int layer) {
  LayerParams& params = state_.params[static_cast<std::size_t>(layer)];
  const Layer& description = prepared_.network.layer(layer);
  params = quantise_layer(prepared_.network, description, grid_of_layer(config().quant, description));
  session_->set_layer(layer, params);
  if (config().search.start == "descent") return fit_->descend(layer, params);
  if (config().search.start != "bias") return;
  correct_bias(prepared_.network, description, prepared_.reference.channel_means[static_cast<std::size_t>(layer)],
               session_->accumulator_means(layer, calibration_), params);
  session_->set_layer(layer, params);
}

std::unique_ptr<LayerSearch> TuneRun::open_search(int layer) {
  const SearchConfig& search = config().search;
  if (search.strategy == "none") return nullptr;
  const LayerParams& params = state_.params[static_cast<std::size_t>(layer)];
  if (search.strategy == "gram") {
    form_ = fit_->form(layer, params);
    return form_ ? session_->prepare_gram(layer, form_->form, gram_options(config())) : nullptr;
  }
  const auto targets = search.mutation == "residual" ? residual_targets(prepared_.network.layer(layer), params)
                                                     : std::vector<std::int16_t>{};
  if (search.strategy == "layer") return session_->prepare(layer, fitness_, population_options(config()), targets);
  return session_->prepare_channels(layer, calibration_, layer_targets(prepared_, config().seed, layer),
                                    channel_options(config()), targets);
}

std::int64_t TuneRun::images_per_evaluation() const {
  const std::string& strategy = config().search.strategy;
  return strategy == "layer" ? fitness_->count() : strategy == "channel" ? calibration_->count() : 0;
}

void TuneRun::begin(const Sensitivity::Entry& entry, int position, LayerSearch& search) {
  if (state_.population) return search.restore(*state_.population);
  search.start();
  const std::int64_t start = search.mailbox().best;
  record(entry, position, {{0, start, start, 0}});
  if (images_per_evaluation() == 0) return;
  state_.evaluations += 1;
  state_.candidate_images += images_per_evaluation();
}

void TuneRun::search_layer(int position) {
  const Sensitivity::Entry entry = state_.order.entries[static_cast<std::size_t>(position)];
  const int count = static_cast<int>(state_.order.entries.size());
  if (budget() && !state_.population) quantise_for_budget(entry.layer);
  const LayerParams before = state_.params[static_cast<std::size_t>(entry.layer)];

  const std::unique_ptr<LayerSearch> search = open_search(entry.layer);
  if (!search) {
    state_.results.push_back(untouched(entry));
    return take(entry, nullptr, before);
  }
  begin(entry, position, *search);
  const auto generations = static_cast<std::int32_t>(config().search.generations);
  LayerWatch watch(observer_);
  observer_.layer_started(position, count, entry.name, generations, search->mailbox());
  write_progress("search");
  evolve_layer(
      *search, {generations, static_cast<std::int32_t>(config().checkpoint_generations)}, halt_,
      [&](const auto& records) { record(entry, position, records); }, [&] { save(search.get()); });
  if (interrupted()) {
    save(search.get());
    leave_interrupted();
  }
  const LayerResult outcome = adopt(entry, *search);
  watch.finished();
  observer_.layer_finished(position, count, entry.name, outcome.start_fitness, outcome.best_fitness);
  state_.results.push_back(outcome);
  take(entry, search.get(), before);
}

/// The layer is done, unless the run is asked to stop while the stop rule is looked at: then its search is saved as it
/// ended, and only the rule is still to do.
void TuneRun::take(const Sensitivity::Entry& entry, const LayerSearch* search, const LayerParams& before) {
  state_.population.reset();
  ++state_.position;
  if (timed_out_) return;
  try {
    if (stop_rule_met(entry.layer)) state_.stop_reason = config().stop.rule;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) throw;
    --state_.position;
    state_.results.pop_back();
    state_.params[static_cast<std::size_t>(entry.layer)] = before;
    if (search != nullptr) save(search);
    throw;
  }
}

LayerResult TuneRun::untouched(const Sensitivity::Entry& entry) const {
  LayerResult r;
  r.name = entry.name;
  r.layer = entry.layer;
  r.sensitivity = entry.n > 0 ? static_cast<double>(entry.correct) / static_cast<double>(entry.n) : -1;
  if (entry.squared_error) r.sensitivity = *entry.squared_error;
  r.bits = state_.params[static_cast<std::size_t>(entry.layer)].bits;
  return r;
}

LayerResult TuneRun::adopt(const Sensitivity::Entry& entry, const LayerSearch& search) {
  const PopulationState best = search.save();
  LayerParams& params = state_.params[static_cast<std::size_t>(entry.layer)];
  LayerResult r = untouched(entry);
  r.start_fitness = best.start_fitness;
  r.best_fitness = search.mailbox().best;
  r.generations = best.generation;
  if (r.best_fitness > r.start_fitness) {
    for (std::size_t i = 0; i < params.codes.size(); ++i) r.changed_codes += params.codes[i] != best.parents[i];
    std::copy_n(best.parents.begin(), params.codes.size(), params.codes.begin());
  }
  if (config().search.strategy == "gram") {
    fit_->refit(entry.layer, *form_, params);  // the prefix has moved, even where the codes have not
  } else {
    session_->set_layer(entry.layer, params);
  }
  return r;
}

bool TuneRun::stop_rule_met(int layer) {
  if (config().stop.rule == "none") return false;
  const Evaluation found = session_->evaluate(gate_);
  const double drop = drop_against(prepared_.reference.gate, found, gate_->count());
  if (config().stop.rule == "recovered") {
    const bool nothing =
        !is_series(gate_data()) && at_chance(prepared_.reference.gate.correct, gate_->count(), gate_data().classes());
    return !nothing && drop <= config().stop.tolerance;  // what guesses is not to be recovered
  }
  if (drop <= config().stop.tolerance) return false;
  const Layer& description = prepared_.network.layer(layer);
  state_.params[static_cast<std::size_t>(layer)] = rest_layer(prepared_.network, config().quant, description);
  session_->set_layer(layer, state_.params[static_cast<std::size_t>(layer)]);
  note(
      fmt::format("layer '{}' at {} bits {} on the gate images, more "
                  "than the tolerance of {:.2f}: it and all layers after it stay at {} bits",
                  description.name, state_.results.back().bits, drop_text(found, drop), 100 * config().stop.tolerance,
                  rest_bits(config().quant)));
  state_.results.back().bits = rest_bits(config().quant);
  return true;
}

void TuneRun::record(const Sensitivity::Entry& entry, int position, const std::vector<GenerationRecord>& records) {
  std::string lines;
  for (const GenerationRecord& r : records) {
    const nlohmann::ordered_json line{{"position", position}, {"layer", entry.name}, {"generation", r.generation},
                                      {"best", r.best},       {"worst", r.worst},    {"accepted", r.accepted}};
    lines += line.dump() + "\n";
    if (r.generation == 0) continue;
    state_.evaluations += config().search.offspring;
    state_.candidate_images += config().search.offspring * images_per_evaluation();
  }
  state_.history = folder_.append_history(lines);
}

}  // namespace qnudge
