// SPDX-License-Identifier: MIT
#include "qnudge/search/checkpoint.hpp"

#include <cstring>
#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
constexpr std::string_view kMagic = "qnudge-checkpoint-3";

template <class T>
json to_binary(const std::vector<T>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return json::binary(std::move(bytes));
}

template <class T>
std::vector<T> from_binary(const json& j) {
  const auto& bytes = j.get_binary();
  if (bytes.size() % sizeof(T) != 0) throw std::invalid_argument("odd array length");
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

json to_json(const LayerParams& p) {
  return {{"bits", p.bits},
          {"codes", to_binary(p.codes)},
          {"scale", to_binary(p.scale)},
          {"bias", to_binary(p.bias)},
          {"multiplier", to_binary(p.multiplier)},
          {"frozen", to_binary(p.frozen)}};
}

LayerParams params_from(const json& j) {
  return {j.at("bits").get<int>(),
          from_binary<std::int8_t>(j.at("codes")),
          from_binary<float>(j.at("scale")),
          from_binary<std::int32_t>(j.at("bias")),
          from_binary<float>(j.at("multiplier")),
          from_binary<std::uint8_t>(j.at("frozen"))};
}

json to_json(const PopulationState& s) {
  return {{"generation", s.generation},
          {"start_fitness", s.start_fitness},
          {"parents", to_binary(s.parents)},
          {"fitness", to_binary(s.fitness)},
          {"gains", to_binary(s.gains)}};
}

PopulationState population_from(const json& j) {
  return {j.at("generation").get<std::int32_t>(), j.at("start_fitness").get<std::int64_t>(),
          from_binary<std::int8_t>(j.at("parents")), from_binary<std::int64_t>(j.at("fitness")),
          from_binary<double>(j.at("gains"))};
}

json to_json(const LayerResult& r) {
  return {{"name", r.name},
          {"layer", r.layer},
          {"sensitivity", r.sensitivity},
          {"start_fitness", r.start_fitness},
          {"best_fitness", r.best_fitness},
          {"generations", r.generations},
          {"changed_codes", r.changed_codes},
          {"bits", r.bits}};
}

LayerResult result_from(const json& j) {
  LayerResult r;
  j.at("name").get_to(r.name);
  j.at("layer").get_to(r.layer);
  j.at("sensitivity").get_to(r.sensitivity);
  j.at("start_fitness").get_to(r.start_fitness);
  j.at("best_fitness").get_to(r.best_fitness);
  j.at("generations").get_to(r.generations);
  j.at("changed_codes").get_to(r.changed_codes);
  j.at("bits").get_to(r.bits);
  return r;
}

json to_json(const Checkpoint& c) {
  json order = json::array(), params = json::array(), results = json::array();
  for (const auto& e : c.order.entries) {
    order.push_back({{"layer", e.layer},
                     {"name", e.name},
                     {"correct", e.correct},
                     {"n", e.n},
                     {"squared_error", e.squared_error ? json(*e.squared_error) : json()}});
  }
  for (const auto& p : c.params) params.push_back(to_json(p));
  for (const auto& r : c.results) results.push_back(to_json(r));
  return {{"model", c.identity.model},
          {"data", c.identity.data},
          {"config", c.identity.config},
          {"reference", c.identity.reference},
          {"order", std::move(order)},
          {"position", c.position},
          {"params", std::move(params)},
          {"population", c.population ? to_json(*c.population) : json()},
          {"results", std::move(results)},
          {"history_bytes", c.history.bytes},
          {"history", c.history.fingerprint},
          {"evaluations", c.evaluations},
          {"candidate_images", c.candidate_images},
          {"seconds", c.seconds},
          {"search_seconds", c.search_seconds},
          {"stop_reason", c.stop_reason}};
}

Checkpoint checkpoint_from(const json& j) {
  Checkpoint c;
  j.at("model").get_to(c.identity.model);
  j.at("data").get_to(c.identity.data);
  j.at("config").get_to(c.identity.config);
  j.at("reference").get_to(c.identity.reference);
  for (const json& e : j.at("order")) {
    c.order.entries.push_back(
        {e.at("layer").get<int>(), e.at("name").get<std::string>(), e.at("correct").get<std::int64_t>(),
         e.at("n").get<std::int64_t>(),
         e.at("squared_error").is_null() ? std::nullopt : std::optional(e.at("squared_error").get<double>())});
  }
  j.at("position").get_to(c.position);
  for (const json& p : j.at("params")) c.params.push_back(params_from(p));
  if (!j.at("population").is_null()) c.population = population_from(j.at("population"));
  for (const json& r : j.at("results")) c.results.push_back(result_from(r));
  j.at("history_bytes").get_to(c.history.bytes);
  j.at("history").get_to(c.history.fingerprint);
  j.at("evaluations").get_to(c.evaluations);
  j.at("candidate_images").get_to(c.candidate_images);
  j.at("seconds").get_to(c.seconds);
  j.at("search_seconds").get_to(c.search_seconds);
  j.at("stop_reason").get_to(c.stop_reason);
  return c;
}

}  // namespace

bool has_checkpoint(const std::filesystem::path& folder) {
  std::error_code unknown;
  return std::filesystem::exists(folder / "checkpoint.bin", unknown);
}

void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path) {
  write_file_atomically(path, seal(kMagic, json::to_cbor(to_json(checkpoint))));
}

Checkpoint load_checkpoint(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> payload = unseal(kMagic, read_file(path), path);
  try {
    Checkpoint c = checkpoint_from(json::from_cbor(payload));
    const auto layers = static_cast<int>(c.order.entries.size());
    require(c.position >= 0 && c.position <= layers && c.results.size() == static_cast<std::size_t>(c.position),
            ErrorKind::input, "{}: holds {} results for {} of {} layers", path.string(), c.results.size(), c.position,
            layers);
    return c;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {
    fail(ErrorKind::input, "{}: is not a checkpoint that this version of qnudge understands ({})", path.string(),
         e.what());
  }
}

void require_same_run(const RunIdentity& saved, const RunIdentity& now, const std::filesystem::path& path) {
  const auto same = [&](const std::string& a, const std::string& b, std::string_view what) {
    require(a == b, ErrorKind::usage,
            "{}: was written for another {}; resume with the same {}, or start afresh in another --out", path.string(),
            what, what);
  };
  same(saved.model, now.model, "model");
  same(saved.data, now.data, "dataset");
  same(saved.config, now.config, "config");
  same(saved.reference, now.reference, "reference.bin");
}

}  // namespace qnudge
