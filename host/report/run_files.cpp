// SPDX-License-Identifier: MIT
#include "qnudge/report/run_files.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/onnx_export.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {
using nlohmann::json;

constexpr std::size_t kMostPoints = 200;  // of a curve: more than a plot is wide

json read_json(const fs::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  json document = json::parse(bytes, nullptr, false);
  require(document.is_object(), ErrorKind::input, "{}: is not the JSON object that qnudge writes there", path.string());
  return document;
}

/// Touches all that tables and pages read, so that they need not doubt it.
void check_report(const RunFiles& run, const fs::path& path) {
  try {
    for (const char* model : {"float", "nearest", "start", "tuned"}) {
      for (const char* set : {"fitness", "gate", "test"}) run.score(model, set);
    }
    const json& r = run.report;
    for (const char* key : {"seconds", "search_seconds", "evaluations", "size_bytes", "float_size_bytes"}) {
      static_cast<void>(r.at(key).get<double>());
    }
    for (const char* key : {"difference", "low", "high"}) {
      static_cast<void>(r.at("interval").at("tuned_minus_nearest").at(key).get<double>());
      static_cast<void>(r.at("interval").at("tuned_minus_start").at(key).get<double>());
    }
    for (const json& layer : r.at("layers")) {
      static_cast<void>(layer.at("name").get<std::string>());
      for (const char* key : {"bits", "start_fitness", "best_fitness", "generations", "changed_codes", "weights"}) {
        static_cast<void>(layer.at(key).get<std::int64_t>());
      }
      const json& sensitivity = layer.at("sensitivity");
      if (!sensitivity.is_null()) static_cast<void>(sensitivity.get<double>());
    }
    for (const json& note : r.at("notes")) static_cast<void>(note.get<std::string>());
    for (const char* key : {"version", "protocol", "backend", "device", "stop_reason"}) {
      static_cast<void>(r.at(key).get<std::string>());
    }
    for (const char* key : {"leaky", "gate_used", "gate_kept"}) static_cast<void>(r.at(key).get<bool>());
    static_cast<void>(r.at("model").at("fingerprint").get<std::string>());
    for (const char* set : {"train", "test"}) {
      static_cast<void>(r.at("data").at(set).at("description").get<std::string>());
      static_cast<void>(r.at("data").at(set).at("fingerprint").get<std::string>());
    }
  } catch (const json::exception& error) {
    fail(ErrorKind::input, "{}: is not a report of this version of qnudge ({})", path.string(), error.what());
  }
}

/// Every n-th point, the first and the last.
void thin(LayerCurve& curve) {
  const std::size_t stride = (curve.points.size() + kMostPoints - 1) / kMostPoints;
  if (stride <= 1) return;
  std::vector<LayerCurve::Point> kept;
  for (std::size_t i = 0; i < curve.points.size(); i += stride) kept.push_back(curve.points[i]);
  if ((curve.points.size() - 1) % stride != 0) kept.push_back(curve.points.back());
  curve.points = std::move(kept);
}

std::vector<LayerCurve> read_history(const fs::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<LayerCurve> curves;
  std::int64_t position = -1;
  for (std::int64_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    try {
      const json line = json::parse(rest.substr(0, end));
      if (line.at("position").get<std::int64_t>() != position) {
        position = line.at("position").get<std::int64_t>();
        curves.push_back({line.at("layer").get<std::string>(), {}});
      }
      curves.back().points.push_back({line.at("generation").get<std::int64_t>(), line.at("best").get<std::int64_t>()});
    } catch (const json::exception&) {
      fail(ErrorKind::input, "{}:{}: is no line of a history", path.string(), number);
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  for (LayerCurve& curve : curves) thin(curve);
  return curves;
}

}  // namespace

bool RunFiles::has(const std::string& model) const {
  return report.at("results").contains(model);
}

FileScore RunFiles::score(const std::string& model, const std::string& set) const {
  const json& score = report.at("results").at(model).at(set);
  const json& value = score.at("value");  // null: an empty set
  return {value.is_null() ? std::nan("") : value.get<double>(), score.at("n").get<std::int64_t>(),
          score.at("metric").get<std::string>()};
}

bool is_finished_run(const fs::path& folder) {
  std::error_code none;
  return fs::exists(folder / "report.json", none);
}

FinishedRun read_finished_run(const fs::path& folder) {
  if (!is_finished_run(folder)) return {};
  try {
    RunFiles files = read_run_files(folder, false);
    const fs::path model = folder / "tuned.onnx";
    require(is_qdq_onnx(model), ErrorKind::input, "{}: is missing, cut short or no model that qnudge wrote",
            model.string());
    return {std::move(files), {}};
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

SensitivityRanking read_sensitivity(const fs::path& folder) {
  for (const fs::path& path : {folder / "sensitivity.json", folder / "sensitivity" / "sensitivity.json"}) {
    if (!fs::exists(path)) continue;
    const json file = read_json(path);
    try {
      SensitivityRanking ranking{file.at("bits").get<std::int64_t>(), {}};
      for (const json& layer : file.at("search_order")) {
        const bool series = layer.contains("squared_error");
        if (!series && !layer.contains("accuracy")) continue;  // searched in forward order
        ranking.layers.push_back({layer.at("layer").get<std::string>(),
                                  {layer.at(series ? "squared_error" : "accuracy").get<double>(),
                                   layer.at("n").get<std::int64_t>(), series ? "squared_error" : "top1"}});
      }
      if (!ranking.layers.empty()) return ranking;
    } catch (const json::exception& error) {
      fail(ErrorKind::input, "{}: is not what qnudge writes there ({})", path.string(), error.what());
    }
  }
  return {};
}

RunFiles read_run_files(const fs::path& folder, bool with_curves) {
  RunFiles run;
  run.report = read_json(folder / "report.json");
  check_report(run, folder / "report.json");
  try {
    run.config = read_config(folder / "config.resolved.json");
  } catch (const Error& error) {
    throw Error(ErrorKind::input, error.what());
  }
  if (!with_curves) return run;
  run.curves = read_history(folder / "history.jsonl");
  run.sensitivity = read_sensitivity(folder);
  return run;
}

}  // namespace qnudge
