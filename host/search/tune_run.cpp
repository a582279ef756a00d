// SPDX-License-Identifier: MIT
#include "tune_run.hpp"

#include <nlohmann/json.hpp>

#include "evolve_layer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "qnudge/quant/residual.hpp"
#include "sensitivity.hpp"
#include "timer.hpp"

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

TuneRun::TuneRun(const TuneRequest& request, TuneObserver& observer)
    : request_(request), observer_(observer), folder_(request.folder) {}

double TuneRun::seconds() const {
  return earlier_seconds_ + std::chrono::duration<double>(Clock::now() - begun_).count();
}

double TuneRun::search_seconds() const {
  const double now = search_begun_ ? std::chrono::duration<double>(Clock::now() - *search_begun_).count() : 0.0;
  return earlier_search_seconds_ + now;
}

void TuneRun::note(const std::string& sentence) {
  result_.notes.push_back(sentence);
  observer_.note(sentence);
}

void TuneRun::open_folder() {
  const bool has_checkpoint = std::filesystem::exists(folder_.checkpoint());
  require(request_.resume || !has_checkpoint, ErrorKind::usage,
          "{}: holds a run already; add --resume to go on with it, or choose another --out", request_.folder.string());
  resumed_ = request_.resume && has_checkpoint;
  if (resumed_) {
    state_ = load_checkpoint(folder_.checkpoint());
    earlier_seconds_ = state_.seconds;
    earlier_search_seconds_ = state_.search_seconds;
  }
}

void TuneRun::prepare() {
  open_folder();
  observer_.stage("reference");
  prepared_ = prepare_network(config(), *request_.graph, *request_.train, *request_.test, request_.float_pass,
                              folder_.file("reference.bin"));
  const Reference& reference = prepared_.reference;
  const RunIdentity identity{request_.graph->fingerprint,
                             Fingerprint().add(request_.train->fingerprint()).add(request_.test->fingerprint()).hex(),
                             result_fingerprint(config()), reference.fingerprint()};
  if (resumed_) require_same_run(state_.identity, identity, folder_.checkpoint());
  state_.identity = identity;
  write_file_atomically(folder_.file("config.resolved.json"), resolved_json(config()));

  IntNetwork& network = prepared_.network;
  const std::vector<LayerParams> nearest = nearest_params(network, config().quant);
  for (std::size_t l = 0; l < nearest.size(); ++l) network.layers[l].params = nearest[l];
  if (const auto reason = request_.backend->reject(network)) fail(ErrorKind::device, "{}", *reason);
  session_ = request_.backend->open(network);

  const Splits& splits = prepared_.splits;
  calibration_ = session_->upload(make_image_set(network, *request_.train, splits.calibration, nullptr));
  fitness_ = session_->upload(make_image_set(network, fitness_data(), splits.fitness, &reference.fitness));
  gate_ = session_->upload(make_image_set(network, *request_.train, splits.gate, &reference.gate));
  test_ = session_->upload(make_image_set(network, *request_.test, splits.test, nullptr));
  folder_.open_history(state_.history_bytes);
}

void TuneRun::apply(const std::vector<LayerParams>& params) {
  for (std::size_t l = 0; l < params.size(); ++l) session_->set_layer(static_cast<int>(l), params[l]);
}

ModelScores TuneRun::measure() {
  return {session_->evaluate(fitness_), session_->evaluate(gate_), session_->evaluate(test_)};
}

void TuneRun::check_ranges(const std::vector<LayerParams>& params) {
  for (std::size_t l = 0; l < params.size(); ++l) {
    const Layer& layer = prepared_.network.layers[l];
    const std::int64_t worst = worst_reachable_accumulator(prepared_.network, layer, params[l]);
    if (worst < (1 << 24)) continue;
    note(
        fmt::format("layer '{}': sums can reach {}, beyond 2^24, where fp32 no longer holds every integer; qnudge "
                    "computes them as documented, other runtimes may differ there",
                    layer.name, worst));
  }
}

void TuneRun::measure_start() {
  const IntNetwork& network = prepared_.network;
  observer_.stage("nearest");
  std::vector<LayerParams> params = nearest_params(network, config().quant);
  check_ranges(params);
  apply(params);
  result_.nearest = measure();

  observer_.stage("start");
  const bool corrected = config().search.start == "bias";
  if (budget()) {
    params = rest_params(network, config().quant);
    apply(params);
  } else if (corrected) {
    correct_biases(network, prepared_.reference, *session_, calibration_, params);
  }
  result_.start = budget() || corrected ? measure() : result_.nearest;
  if (corrected && !budget()) result_.bias = result_.start;
  start_params_ = params;
}

void TuneRun::rank() {
  const SearchConfig& search = config().search;
  if (!resumed_) {
    observer_.stage("sensitivity");
    state_.order = search.order == "forward"
                       ? forward_order(config(), prepared_.network)
                       : measure_sensitivity(config(), prepared_.network, *session_, calibration_);
    state_.params = start_params_;
  }
  write_file_atomically(folder_.file("sensitivity.json"),
                        sensitivity_json(state_.order, search.sensitivity_bits, config().quant.rest_bits));
  require(state_.params.size() == prepared_.network.layers.size(), ErrorKind::input,
          "{}: holds {} layers; the model has {}", folder_.checkpoint().string(), state_.params.size(),
          prepared_.network.layers.size());
  apply(state_.params);
  if (!resumed_) save(nullptr);
}

Sensitivity TuneRun::analyse() {
  observer_.stage("sensitivity");
  const Sensitivity order = measure_sensitivity(config(), prepared_.network, *session_, calibration_);
  write_file_atomically(folder_.file("sensitivity.json"),
                        sensitivity_json(order, config().search.sensitivity_bits, config().quant.rest_bits));
  return order;
}

void TuneRun::search() {
  observer_.stage("search");
  const Timer deadline(config().stop.seconds, earlier_seconds_, timed_out_, *request_.stop);
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
  if (config().search.start != "bias") return;
  correct_bias(prepared_.network, description, prepared_.reference.channel_means[static_cast<std::size_t>(layer)],
               session_->accumulator_means(layer, calibration_), params);
  session_->set_layer(layer, params);
}

void TuneRun::search_layer(int position) {
  const Sensitivity::Entry entry = state_.order.entries[static_cast<std::size_t>(position)];
  const int count = static_cast<int>(state_.order.entries.size());
  if (budget() && !state_.population) quantise_for_budget(entry.layer);
  const LayerParams& params = state_.params[static_cast<std::size_t>(entry.layer)];
  const Layer& layer = prepared_.network.layer(entry.layer);

  const PopulationOptions options = population_options(config());
  const auto targets =
      options.mutation == MutationKind::residual ? residual_targets(layer, params) : std::vector<std::int16_t>{};
  const std::unique_ptr<LayerSearch> search = session_->prepare(entry.layer, fitness_, options, targets);
  if (state_.population) {
    search->restore(*state_.population);
  } else {
    search->start();
    const std::int64_t start = search->mailbox().best;
    record(entry, position, {{0, start, start, 0}});
    state_.evaluations += 1;
    state_.candidate_images += fitness_->count();
  }
  const auto generations = static_cast<std::int32_t>(config().search.generations);
  LayerWatch watch(observer_);
  observer_.layer_started(position, count, entry.name, generations, search->mailbox());
  write_progress("search");
  evolve_layer(
      *search, {generations, static_cast<std::int32_t>(config().checkpoint_generations)}, *request_.stop,
      [&](const auto& records) { record(entry, position, records); }, [&] { save(search.get()); });
  if (interrupted()) {
    save(search.get());
    leave_interrupted();
  }
  const LayerResult outcome = adopt(entry, *search, static_cast<std::int32_t>(search->mailbox().generation));
  watch.finished();
  observer_.layer_finished(position, count, entry.name, outcome.start_fitness, outcome.best_fitness);
  state_.results.push_back(outcome);
  state_.population.reset();
  ++state_.position;
  if (!timed_out_ && stop_rule_met(entry.layer)) state_.stop_reason = config().stop.rule;
}

LayerResult TuneRun::adopt(const Sensitivity::Entry& entry, const LayerSearch& search, std::int32_t generations) {
  const PopulationState best = search.save();
  LayerParams& params = state_.params[static_cast<std::size_t>(entry.layer)];
  LayerResult r;
  r.name = entry.name;
  r.layer = entry.layer;
  r.sensitivity = entry.n > 0 ? static_cast<double>(entry.correct) / static_cast<double>(entry.n) : -1;
  r.start_fitness = best.start_fitness;
  r.best_fitness = best.fitness.front();
  r.generations = generations;
  r.bits = params.bits;
  if (r.best_fitness <= r.start_fitness) return r;
  for (std::size_t i = 0; i < params.codes.size(); ++i) r.changed_codes += params.codes[i] != best.parents[i];
  std::copy_n(best.parents.begin(), params.codes.size(), params.codes.begin());
  session_->set_layer(entry.layer, params);
  return r;
}

bool TuneRun::stop_rule_met(int layer) {
  if (config().stop.rule == "none") return false;
  const auto n = static_cast<double>(gate_->count());
  const double drop = static_cast<double>(prepared_.reference.gate.correct - session_->evaluate(gate_).correct) / n;
  if (config().stop.rule == "recovered") return drop <= config().stop.tolerance;
  if (drop <= config().stop.tolerance) return false;
  const Layer& description = prepared_.network.layer(layer);
  Grid grid = grid_of_layer(config().quant, description);
  grid.bits = config().quant.rest_bits;
  state_.params[static_cast<std::size_t>(layer)] = quantise_layer(prepared_.network, description, grid);
  session_->set_layer(layer, state_.params[static_cast<std::size_t>(layer)]);
  note(
      fmt::format("layer '{}' at {} bits would lose {:.2f} points against the float model on the gate images, more "
                  "than the tolerance of {:.2f}: it and all layers after it stay at {} bits",
                  description.name, state_.results.back().bits, 100 * drop, 100 * config().stop.tolerance,
                  config().quant.rest_bits));
  state_.results.back().bits = config().quant.rest_bits;
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
    state_.candidate_images += config().search.offspring * fitness_->count();
  }
  state_.history_bytes = folder_.append_history(lines);
}

void TuneRun::save(const LayerSearch* running) {
  state_.population = running != nullptr ? std::optional(running->save()) : std::nullopt;
  state_.seconds = seconds();
  state_.search_seconds = search_seconds();
  save_checkpoint(state_, folder_.checkpoint());
  write_progress("search");
}

void TuneRun::write_progress(const std::string& stage) {
  const nlohmann::ordered_json progress{{"stage", stage},
                                        {"layers_done", state_.position},
                                        {"layers", state_.order.entries.size()},
                                        {"generation", state_.population ? state_.population->generation : 0},
                                        {"generations", config().search.generations},
                                        {"evaluations", state_.evaluations}};
  write_file_atomically(folder_.file("progress.json"), progress.dump(2) + "\n");
}

void TuneRun::leave_interrupted() {
  fail(ErrorKind::interrupted, "interrupted after {} of {} layers{}; everything is saved, go on with --resume --out {}",
       state_.position, state_.order.entries.size(),
       state_.population ? fmt::format(" and {} generations", state_.population->generation) : "",
       request_.folder.string());
}

TuneResult TuneRun::finish() {
  observer_.stage("test");
  const auto pick = [](const Dataset& data, const Indices& indices) {
    std::vector<std::int32_t> labels;
    for (std::int64_t i : indices) labels.push_back(data.labels()[static_cast<std::size_t>(i)]);
    return labels;
  };
  TuneResult& r = result_;
  r.tuned = measure();
  const auto &before = r.start.gate, &after = r.tuned.gate;
  r.gate_kept = !config().search.gate || budget() || (after.correct >= before.correct && after.kl <= before.kl);
  if (!r.gate_kept) {
    note(fmt::format(
        "the gate keeps the start: on its {} images the search's result scores {} correct and a KL of "
        "{:.4f}, the start {} and {:.4f}",
        gate_->count(), after.correct, static_cast<double>(after.kl) / static_cast<double>(gate_->count() * kQ16One),
        before.correct, static_cast<double>(before.kl) / static_cast<double>(gate_->count() * kQ16One)));
    state_.params = start_params_;
    r.tuned = r.start;
  }
  r.network = prepared_.network;
  for (std::size_t l = 0; l < state_.params.size(); ++l) r.network.layers[l].params = state_.params[l];
  write_file_atomically(folder_.file("tuned.onnx"), to_qdq_onnx(r.network));

  r.splits = prepared_.splits;
  r.fitness_labels = pick(fitness_data(), r.splits.fitness);
  r.gate_labels = pick(*request_.train, r.splits.gate);
  r.test_labels = pick(*request_.test, r.splits.test);
  r.float_fitness = prepared_.reference.fitness;
  r.float_gate = prepared_.reference.gate;
  r.float_test = prepared_.reference.test;
  r.layers = state_.results;
  r.stop_reason = state_.stop_reason;
  r.evaluations = state_.evaluations;
  r.candidate_images = state_.candidate_images;
  r.seconds = seconds();
  r.search_seconds = state_.search_seconds;
  r.size_bytes = packed_size_bytes(r.network);
  write_progress("done");
  return std::move(r);
}

}  // namespace qnudge
