// SPDX-License-Identifier: MIT
#include "tune_run.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "calibration_notes.hpp"
#include "judgement.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "qnudge/search/chance.hpp"
#include "sample_reader.hpp"
#include "sensitivity.hpp"
#include "shared_scales.hpp"

namespace qnudge {
namespace {

constexpr const char* kReferenceFile = "reference.bin";

/// Indices into the training files, or the test files where the key says so, for tools that are to see the same images.
std::string splits_json(const Splits& splits) {
  const nlohmann::ordered_json json{{"calibration", splits.calibration},
                                    {splits.fitness_from_test ? "fitness_of_test" : "fitness", splits.fitness},
                                    {splits.gate_from_test ? "gate_of_test" : "gate", splits.gate},
                                    {"test", splits.test}};
  return json.dump() + "\n";
}

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
  const auto& said = result_.notes;  // what concerns a layer comes up with its start and with its search
  if (std::find(said.begin(), said.end(), sentence) != said.end()) return;
  result_.notes.push_back(sentence);
  observer_.note(sentence);
}

void TuneRun::open_folder() {
  const bool has_checkpoint = std::filesystem::exists(folder_.checkpoint());
  if (!request_.resume && has_checkpoint) RunFolder::refuse_second_run(request_.folder);
  resumed_ = request_.resume && has_checkpoint;
  if (resumed_) {
    state_ = load_checkpoint(folder_.checkpoint());
    earlier_seconds_ = state_.seconds;
    earlier_search_seconds_ = state_.search_seconds;
  }
}

void TuneRun::open_session() {
  IntNetwork& network = prepared_.network;
  const std::vector<LayerParams> nearest = nearest_params(network, config().quant);
  for (std::size_t l = 0; l < nearest.size(); ++l) network.layers[l].params = nearest[l];
  if (const auto reason = request_.backend->reject(network)) fail(ErrorKind::device, "{}", *reason);
  session_ = request_.backend->open(network);
  const ImageSet calibration = make_image_set(network, *request_.train, prepared_.splits.calibration, nullptr);
  for (const std::string& text : calibration_notes(network, calibration, is_series(*request_.train))) note(text);
  calibration_ = session_->upload(calibration);
}

void TuneRun::prepare() {
  open_folder();
  RunIdentity identity{request_.graph->fingerprint,
                       Fingerprint().add(request_.train->fingerprint()).add(request_.test->fingerprint()).hex(),
                       result_fingerprint(config()), state_.identity.reference};
  if (resumed_) require_same_run(state_.identity, identity, folder_.checkpoint());  // before reference.bin is replaced
  observer_.stage("reference");
  prepared_ = prepare_network(config(), *request_.graph, *request_.train, *request_.test, request_.float_pass,
                              folder_.file(kReferenceFile), request_.shared);
  if (!prepared_.note.empty()) note(prepared_.note);
  open_session();
  const Reference& reference = prepared_.reference;
  identity.reference = reference.fingerprint();
  if (resumed_) require_same_run(state_.identity, identity, folder_.checkpoint());
  state_.identity = identity;
  write_file_atomically(folder_.file("config.resolved.json"), resolved_json(config()));
  write_file_atomically(folder_.file("splits.json"), splits_json(prepared_.splits));

  const IntNetwork& network = prepared_.network;
  const Splits& splits = prepared_.splits;
  fitness_ = session_->upload(make_image_set(network, fitness_data(), splits.fitness, &reference.fitness));
  gate_ = session_->upload(make_image_set(network, gate_data(), splits.gate, &reference.gate));
  test_.emplace(network, *session_, *request_.test, splits.test);
  if (!splits.threshold.empty()) threshold_.emplace(network, *session_, *request_.test, splits.threshold);
  folder_.open_history(state_.history);
  check_reference();
  if (prepared_.targets) {
    fit_.emplace(config(), prepared_, *session_, calibration_, [this](const std::string& text) { note(text); });
  }
}

void TuneRun::check_reference() {
  const Reference& reference = prepared_.reference;
  const std::int64_t classes = request_.test->classes();
  const auto n = static_cast<std::int64_t>(prepared_.splits.test.size());
  result_.float_at_chance = !is_series(*request_.test) && at_chance(reference.test.correct, n, classes);
  if (result_.float_at_chance) note(chance_text(reference.test.correct, n, classes, "test images"));
  constexpr std::int64_t kSamples = 64;
  const Indices& calibration = prepared_.splits.calibration;
  const std::int64_t count = std::min(kSamples, static_cast<std::int64_t>(calibration.size()));
  for (const std::string& sentence :
       lost_in_concat(prepared_.network, count, reader_of(*request_.train, calibration), request_.float_pass)) {
    note(sentence);
  }
}

void TuneRun::apply(const std::vector<LayerParams>& params) {
  for (std::size_t l = 0; l < params.size(); ++l) session_->set_layer(static_cast<int>(l), params[l]);
}

ModelScores TuneRun::measure(const std::vector<LayerParams>& params, Clock::time_point begun) {
  const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
  apply(params);
  return {session_->evaluate(fitness_), session_->evaluate(gate_), test_->evaluate(), seconds,
          threshold_ ? threshold_->evaluate() : Evaluation{}};
}

void TuneRun::check_ranges(const std::vector<LayerParams>& params) {
  if (prepared_.network.half()) return;  // sums are rounded anyway
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

/// Correcting biases runs the network once per layer; who asks for rounding alone is not to wait for it.
bool TuneRun::wants_bias() const {
  return config().search.strategy != "none" || config().search.start != "nearest";
}

StartPoint TuneRun::make_start() {
  const IntNetwork& network = prepared_.network;
  const std::string& start = config().search.start;
  StartPoint point;
  const std::size_t noted = result_.notes.size();
  observer_.stage("nearest");
  std::vector<LayerParams> params = nearest_params(network, config().quant);
  check_ranges(params);
  point.nearest = measure(params, begun_);

  observer_.stage("start");
  if (budget()) {
    point.params = rest_params(network, config().quant);
    point.start = measure(point.params, Clock::now());
  } else {
    std::vector<LayerParams> corrected = params;
    if (wants_bias()) {
      const Clock::time_point begun = Clock::now();
      correct_biases(network, prepared_.reference, *session_, calibration_, corrected);
      point.bias = measure(corrected, begun);
    }
    if (start == "descent") {
      const Clock::time_point descent = Clock::now();
      apply(params);
      for (std::size_t l = 0; l < params.size(); ++l) fit_->descend(static_cast<int>(l), params[l]);
      point.start = measure(params, descent);
    } else {
      point.start = start == "bias" ? *point.bias : point.nearest;
    }
    point.params = start == "bias" ? corrected : params;
  }
  point.notes.assign(result_.notes.begin() + static_cast<std::ptrdiff_t>(noted), result_.notes.end());
  return point;
}

void TuneRun::measure_start() {
  StartPoint point;
  if (request_.shared == nullptr) {
    point = make_start();
  } else {
    bool own = false;
    point = *request_.shared->starts.get(start_key(), [&] {
      own = true;
      return make_start();
    });
    if (!own) std::for_each(point.notes.begin(), point.notes.end(), [this](const std::string& text) { note(text); });
  }
  result_.nearest = std::move(point.nearest);
  result_.bias = std::move(point.bias);
  result_.start = std::move(point.start);
  start_params_ = std::move(point.params);
}

std::string TuneRun::start_key() const {
  Config relevant = config();  // a key that is not named here counts
  const SearchConfig none;
  SearchConfig& search = relevant.search;
  search.strategy = wants_bias() ? none.strategy : search.strategy;
  search.order = none.order;
  search.fitness = none.fitness;
  search.mutation = none.mutation;
  search.rate = search.rate_end = 0;
  search.parents = search.offspring = search.generations = search.sensitivity_bits = 0;
  search.gate = none.gate;
  search.skip.clear();
  relevant.stop = StopConfig{};
  relevant.stop.rule = budget() ? "budget" : "none";
  return Fingerprint().add(result_fingerprint(relevant)).add(state_.identity.reference).hex();
}

Sensitivity TuneRun::measure_order() {
  const auto make = [this] { return measure_sensitivity(config(), prepared_.network, *session_, calibration_); };
  return request_.shared == nullptr ? make() : *request_.shared->sensitivities.get(order_key(), make);
}

std::string TuneRun::order_key() const {
  Config relevant = config();
  relevant.quant.grid.bits = 0;  // the one layer has search.sensitivity_bits, the others quant.rest_bits
  for (auto& [name, grid] : relevant.quant.layers) grid.bits = 0;
  relevant.search = SearchConfig{};
  relevant.search.sensitivity_bits = config().search.sensitivity_bits;
  relevant.search.skip = config().search.skip;
  relevant.stop = StopConfig{};
  return Fingerprint().add(result_fingerprint(relevant)).add(state_.identity.reference).hex();
}

void TuneRun::rank() {
  const SearchConfig& search = config().search;
  if (!resumed_) {
    const bool forward = search.order == "forward";
    if (!forward) observer_.stage("sensitivity");
    state_.order = forward ? forward_order(config(), prepared_.network) : measure_order();
    state_.params = start_params_;
  }
  write_file_atomically(folder_.file("sensitivity.json"),
                        sensitivity_json(state_.order, search.sensitivity_bits, rest_bits(config().quant)));
  require(state_.params.size() == prepared_.network.layers.size(), ErrorKind::input,
          "{}: holds {} layers; the model has {}", folder_.checkpoint().string(), state_.params.size(),
          prepared_.network.layers.size());
  apply(state_.params);
  if (!resumed_) save(nullptr);
}

Sensitivity TuneRun::analyse() {
  const bool writes = !has_checkpoint(request_.folder);
  observer_.stage("reference");
  prepared_ = prepare_network(config(), *request_.graph, *request_.train, *request_.test, request_.float_pass,
                              writes ? folder_.file(kReferenceFile) : std::filesystem::path());
  open_session();
  check_reference();
  observer_.stage("sensitivity");
  const Sensitivity order = measure_sensitivity(config(), prepared_.network, *session_, calibration_);
  if (!writes) return order;
  write_file_atomically(folder_.file("config.resolved.json"), resolved_json(config()));
  write_file_atomically(folder_.file("splits.json"), splits_json(prepared_.splits));
  write_file_atomically(folder_.file("sensitivity.json"),
                        sensitivity_json(order, config().search.sensitivity_bits, rest_bits(config().quant)));
  return order;
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

void TuneRun::leave_early(const std::string& before) const {
  fail(ErrorKind::interrupted, "interrupted before {}; {}, the same command begins it anew", before,
       std::filesystem::exists(folder_.file(kReferenceFile)) ? "but for the float reference nothing is saved"
                                                             : "nothing is saved yet");
}

void TuneRun::leave_analysis() const {
  require(!has_checkpoint(request_.folder), ErrorKind::interrupted,
          "interrupted before the layers were ranked; {} holds a run, which stays as it is", request_.folder.string());
  leave_early("the layers were ranked");
}

void TuneRun::leave_interrupted() const {
  if (!std::filesystem::exists(folder_.checkpoint())) leave_early("the search");
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
  r.tuned = measure(state_.params, Clock::now());
  r.tuned.seconds = state_.search_seconds;
  const auto &before = r.start.gate, &after = r.tuned.gate;
  r.gate_kept = !config().search.gate || budget() || not_worse(after, before);
  if (!r.gate_kept) {
    note("the gate keeps the start: " + gate_verdict(after, before, gate_->count()));
    state_.params = start_params_;
    r.tuned = r.start;
  }
  r.network = prepared_.network;
  for (std::size_t l = 0; l < state_.params.size(); ++l) r.network.layers[l].params = state_.params[l];
  write_file_atomically(folder_.file("tuned.onnx"), to_qdq_onnx(r.network));

  r.splits = prepared_.splits;
  r.fitness_labels = pick(fitness_data(), r.splits.fitness);
  r.gate_labels = pick(gate_data(), r.splits.gate);
  r.test_labels = pick(*request_.test, r.splits.test);
  r.float_fitness = prepared_.reference.fitness;
  r.float_gate = prepared_.reference.gate;
  r.float_test = prepared_.reference.test;
  r.threshold_labels = pick(*request_.test, r.splits.threshold);
  r.test_blocks = time_blocks(*request_.test, r.splits.test);
  r.float_threshold = prepared_.reference.threshold;
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
