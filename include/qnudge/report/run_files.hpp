// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/config/config.hpp"

namespace qnudge {

/// Best fitness of one layer by generation, thinned.
struct LayerCurve {
  std::string layer;
  struct Point {
    std::int64_t generation = 0, best = 0;
  };
  std::vector<Point> points;  ///< ascending; the first is the start, the last the end
};

/// One model on one set, as report.json has it.
struct FileScore {
  double value = 0;  ///< top1 and f1: a fraction
  std::int64_t n = 0;
  std::string metric = "top1";  ///< "top1", "f1", "squared_error"
};

/// Accuracy, of series the error, with one layer at a time quantised, as sensitivity.json has it.
struct SensitivityRanking {
  std::int64_t bits = 0;  ///< of the one layer
  struct Layer {
    std::string name;
    FileScore score;  ///< on the calibration set
  };
  std::vector<Layer> layers;  ///< least sensitive first; empty: not measured
};

/// What was measured into `folder`, or by `qnudge sensitivity` into its subfolder "sensitivity"; no layers where
/// neither was. Throws Error(kind input) for a file that is not what qnudge writes.
SensitivityRanking read_sensitivity(const std::filesystem::path& folder);

/// What a finished run left in its folder, as far as tables and pages need it.
struct RunFiles {
  nlohmann::json report;           ///< report.json
  Config config;                   ///< config.resolved.json
  std::vector<LayerCurve> curves;  ///< history.jsonl, in search order
  SensitivityRanking sensitivity;

  bool has(const std::string& model) const;
  /// `model`: "float", "nearest", "bias", "start", "tuned"; `set`: "fitness", "gate", "test".
  FileScore score(const std::string& model, const std::string& set) const;
};

/// True if the folder holds a run that has ended.
bool is_finished_run(const std::filesystem::path& folder);

/// What a sweep finds in the folder of one of its runs.
struct FinishedRun {
  std::optional<RunFiles> files;  ///< without curves; nothing: there is no finished run, or it is damaged
  std::string damage;             ///< one sentence; empty: there is none
};
/// A run has to be done again that lacks one of report.json, config.resolved.json and tuned.onnx, or has it cut short.
FinishedRun read_finished_run(const std::filesystem::path& folder);

/// Throws Error(kind input): a file is missing, cut short or not what qnudge writes; names it. `with_curves` false
/// leaves history
/// and sensitivity alone.
RunFiles read_run_files(const std::filesystem::path& folder, bool with_curves = true);

}  // namespace qnudge
