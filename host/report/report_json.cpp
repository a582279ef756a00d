// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "qnudge/report/anomaly.hpp"
#include "qnudge/report/graph_usage_json.hpp"
#include "qnudge/report/run_report.hpp"
#include "qnudge/report/score_json.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

nlohmann::ordered_json score_json(const Score& score) {
  Json json = {{"metric", score.metric}, {"value", score.value}, {"n", score.n}};  // an empty set's value becomes null
  if (score.cross_entropy) json["cross_entropy"] = *score.cross_entropy;
  if (score.kl) json["kl"] = *score.kl;
  if (const auto& detection = score.detection) {
    json["precision"] = detection->precision;
    json["recall"] = detection->recall;
    json["anomalous"] = detection->anomalous;
    json["threshold"] = detection->threshold;
    json["best_threshold_f1"] = detection->best_threshold_f1;
    json["squared_error"] = detection->squared_error;
  }
  return json;
}

nlohmann::ordered_json graph_usage_json(const GraphUsage& usage) {
  return {{"one_launch", usage.one_launch},
          {"one_by_one", usage.one_by_one},
          {"nodes", usage.nodes},
          {"depth", usage.depth},
          {"reasons", usage.reasons}};
}

namespace {

Json to_json(const ModelReport& model) {
  Json json = {{"fitness", score_json(model.fitness)},
               {"gate", score_json(model.gate)},
               {"test", score_json(model.test)},
               {"seconds", model.seconds},
               {"evaluations", model.evaluations}};
  if (model.held_back) json["test_held_back"] = score_json(*model.held_back);
  if (model.threshold) json["threshold"] = score_json(*model.threshold);
  return json;
}

Json to_json(const PairedInterval& interval) {
  return {{"difference", interval.difference},
          {"low", interval.low},
          {"high", interval.high},
          {"standard_error", interval.standard_error},
          {"p_value", interval.p_value},
          {"gained", interval.gained},
          {"lost", interval.lost},
          {"n", interval.n}};
}

Json to_json(const Comparison& comparison) {
  return {{"tuned_minus_nearest", to_json(comparison.tuned_minus_nearest)},
          {"tuned_minus_start", to_json(comparison.tuned_minus_start)}};
}

Json to_json(const LayerResult& layer, std::int64_t weights) {
  return {{"name", layer.name},
          {"layer", layer.layer},
          {"bits", layer.bits},
          {"weights", weights},
          {"sensitivity", layer.sensitivity < 0 ? Json(nullptr) : Json(layer.sensitivity)},
          {"start_fitness", layer.start_fitness},
          {"best_fitness", layer.best_fitness},
          {"generations", layer.generations},
          {"changed_codes", layer.changed_codes}};
}

Json to_json(const std::optional<RunReport::Recovered>& recovered) {
  return recovered ? Json{{"tuned", recovered->tuned}, {"start", recovered->start}} : Json(nullptr);
}

}  // namespace

std::string report_json(const RunReport& report) {
  const ReportContext& context = report.context;
  Json json;
  json["version"] = kVersion;
  json["protocol"] = context.protocol;
  json["leaky"] = report.leaky;
  json["activations"] = context.activations;
  json["backend"] = context.backend;
  json["device"] = context.device;
  if (context.graphs) json["graphs"] = graph_usage_json(*context.graphs);
  json["seed"] = context.seed;
  json["seconds"] = report.seconds;
  json["search_seconds"] = report.search_seconds;
  json["evaluations"] = report.evaluations;
  json["candidate_images"] = report.candidate_images;
  json["candidate_images_per_second"] = report.candidate_images_per_second;
  json["size_bytes"] = report.size_bytes;
  json["float_size_bytes"] = report.float_size_bytes;
  for (const ModelReport& model : report.models) json["results"][model.name] = to_json(model);
  json["interval"] = to_json(report.test);
  json["interval"]["method"] = report.series ? kBlockMethod : kPairedMethod;
  json["interval"]["set"] = "test";
  if (report.held_back) json["interval"]["test_held_back"] = to_json(*report.held_back);
  json["float_at_chance"] = report.float_at_chance;
  json["recovered"] = to_json(report.recovered);
  if (report.held_back) json["recovered_held_back"] = to_json(report.recovered_held_back);
  json["stop_reason"] = report.stop_reason;
  json["gate_used"] = report.gate_used;
  json["gate_kept"] = report.gate_kept;
  json["layers"] = Json::array();
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    json["layers"].push_back(to_json(report.layers[i], report.layer_weights[i]));
  }
  json["notes"] = report.notes;
  json["config"] = context.config_file;
  json["model"] = {{"path", context.model}, {"fingerprint", context.model_fingerprint}};
  json["data"] = {{"train", {{"description", context.train_data}, {"fingerprint", context.train_fingerprint}}},
                  {"test", {{"description", context.test_data}, {"fingerprint", context.test_fingerprint}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace qnudge
