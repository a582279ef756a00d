// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/report/interval.hpp"
#include "qnudge/report/run_files.hpp"

namespace qnudge {

/// Models whose accuracy results hold; "bias" may be missing.
inline constexpr std::array<const char*, 5> kSweepModels = {"float", "nearest", "bias", "start", "tuned"};

/// One run of a sweep as its folder tells.
struct SweepEntry {
  std::string name;                 ///< folder below the sweep's
  std::vector<std::string> values;  ///< [axes]
  enum class Status { open, failed, done } status = Status::open;
  std::string error;            ///< failed: the sentence
  std::optional<RunFiles> run;  ///< done; without curves
};

/// Runs that differ in nothing but the seed.
struct SweepGroup {
  std::vector<std::string> values;           ///< [group axes]
  std::vector<const SweepEntry*> runs;       ///< done ones
  std::map<std::string, SeedInterval> test;  ///< the measure on the test set by model; empty without runs
  double seconds = 0, search_seconds = 0;    ///< means
  std::int64_t size_bytes = 0;               ///< of the first
};

struct SweepResults {
  std::filesystem::path folder;
  std::vector<std::string> axes;  ///< keys
  std::vector<SweepEntry> entries;

  std::vector<std::string> group_axes() const;       ///< keys of the axes that vary, without "seed"
  std::vector<std::string> fixed_values() const;     ///< "key=value" of every axis with one value, without "seed"
  std::string label(const SweepEntry& entry) const;  ///< "key=value" of every axis that varies
  std::vector<SweepGroup> groups() const;            ///< in order of first appearance; points into `entries`
  std::size_t count(SweepEntry::Status status) const;

  /// What the runs are compared by: top-1 on test images or, where the first done run's data are series, F1 on test
  /// steps.
  struct Measure {
    const char *metric, *samples;
  };
  Measure measure() const;

 private:
  bool varies(std::size_t axis) const;
};

/// Reads what sweep.json in `folder` lists, results of done runs from their folders, sentences of failed ones from
/// results.jsonl. Throws Error(kind input).
SweepResults read_sweep_results(const std::filesystem::path& folder);

/// sweep.json: axes and runs, in order.
std::string sweep_json(const SweepResults& sweep);

/// One line per run and a header (RFC 4180); one JSON object per run and line.
std::string results_csv(const SweepResults& sweep);
std::string results_jsonl(const SweepResults& sweep);

/// The terminal's table: groups with mean, deviation and interval over seeds; failed runs with their sentences.
std::string sweep_text(const SweepResults& sweep);

/// The groups and runs as one JSON object.
std::string sweep_summary_json(const SweepResults& sweep);

/// Writes results.csv, results.jsonl and report.html into the folder, each atomically.
void write_sweep_results(const SweepResults& sweep);

}  // namespace qnudge
