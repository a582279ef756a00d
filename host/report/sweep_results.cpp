// SPDX-License-Identifier: MIT
#include "qnudge/report/sweep_results.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/html_page.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

/// Sentences of runs that failed in an earlier session, by run; a file that was cut is no reason to fail now.
std::map<std::string, std::string> earlier_errors(const fs::path& path) {
  std::map<std::string, std::string> errors;
  if (!fs::exists(path)) return errors;
  const std::vector<std::uint8_t> bytes = read_file(path);
  for (auto line = bytes.begin(); line != bytes.end();) {
    const auto end = std::find(line, bytes.end(), '\n');
    const Json entry = Json::parse(line, end, nullptr, false);
    if (entry.is_object() && entry.contains("error") && entry["error"].is_string() &&
        entry.value("run", Json()).is_string()) {
      errors[entry["run"]] = entry["error"];
    }
    line = end == bytes.end() ? end : end + 1;
  }
  return errors;
}

}  // namespace

bool SweepResults::varies(std::size_t axis) const {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const SweepEntry& e) { return e.values[axis] != entries.front().values[axis]; });
}

std::vector<std::string> SweepResults::group_axes() const {
  std::vector<std::string> keys;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (axes[a] != "seed" && varies(a)) keys.push_back(axes[a]);
  }
  return keys;
}

std::vector<std::string> SweepResults::fixed_values() const {
  std::vector<std::string> fixed;
  for (std::size_t a = 0; a < axes.size() && !entries.empty(); ++a) {
    if (axes[a] != "seed" && !varies(a)) fixed.push_back(fmt::format("{}={}", axes[a], entries.front().values[a]));
  }
  return fixed;
}

std::string SweepResults::label(const SweepEntry& entry) const {
  std::vector<std::string> parts;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    if (varies(a)) parts.push_back(fmt::format("{}={}", axes[a], entry.values[a]));
  }
  return parts.empty() ? entry.name : fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<SweepGroup> SweepResults::groups() const {
  std::vector<SweepGroup> groups;
  std::map<std::vector<std::string>, std::size_t> places;
  const std::vector<std::string> keys = group_axes();
  for (const SweepEntry& entry : entries) {
    std::vector<std::string> values;
    for (std::size_t a = 0; a < axes.size(); ++a) {
      if (std::find(keys.begin(), keys.end(), axes[a]) != keys.end()) values.push_back(entry.values[a]);
    }
    const auto [place, fresh] = places.emplace(values, groups.size());
    if (fresh) groups.push_back({.values = values, .runs = {}, .test = {}});
    if (entry.run) groups[place->second].runs.push_back(&entry);
  }
  for (SweepGroup& group : groups) {
    std::map<std::string, std::vector<double>> accuracy;
    const auto n = static_cast<double>(group.runs.size());
    for (const SweepEntry* entry : group.runs) {
      for (const char* model : kSweepModels) {
        if (entry->run->has(model)) accuracy[model].push_back(entry->run->score(model, "test").value);
      }
      group.seconds += entry->run->report.at("seconds").get<double>() / n;
      group.search_seconds += entry->run->report.at("search_seconds").get<double>() / n;
    }
    for (const auto& [model, values] : accuracy) group.test[model] = seed_interval(values);
    if (!group.runs.empty()) group.size_bytes = group.runs.front()->run->report.at("size_bytes").get<std::int64_t>();
  }
  return groups;
}

SweepResults::Measure SweepResults::measure() const {
  const auto done = std::find_if(entries.begin(), entries.end(), [](const SweepEntry& entry) { return entry.run; });
  const bool series = done != entries.end() && done->run->config.data.is_series();
  return series ? Measure{"F1", "test steps"} : Measure{"Top-1", "test images"};
}

std::size_t SweepResults::count(SweepEntry::Status status) const {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const SweepEntry& e) { return e.status == status; }));
}

std::string sweep_json(const SweepResults& sweep) {
  Json json = {{"version", kVersion}, {"axes", sweep.axes}, {"runs", Json::array()}};
  for (const SweepEntry& entry : sweep.entries) {
    json["runs"].push_back({{"run", entry.name}, {"values", entry.values}});
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

SweepResults read_sweep_results(const fs::path& folder) {
  SweepResults sweep{.folder = folder, .axes = {}, .entries = {}};
  const fs::path plan = folder / "sweep.json";
  const std::vector<std::uint8_t> bytes = read_file(plan);
  try {
    const Json json = Json::parse(bytes);
    sweep.axes = json.at("axes").get<std::vector<std::string>>();
    for (const Json& run : json.at("runs")) {
      sweep.entries.push_back({.name = run.at("run"), .values = run.at("values"), .error = {}, .run = {}});
      require(sweep.entries.back().values.size() == sweep.axes.size() && !sweep.axes.empty(), ErrorKind::input,
              "{}: run '{}' has {} values; there are {} axes", plan.string(), sweep.entries.back().name,
              sweep.entries.back().values.size(), sweep.axes.size());
    }
  } catch (const Json::exception& error) {
    fail(ErrorKind::input, "{}: is not what qnudge sweep writes there ({})", plan.string(), error.what());
  }
  const std::map<std::string, std::string> errors = earlier_errors(folder / "results.jsonl");
  for (SweepEntry& entry : sweep.entries) {
    FinishedRun found = read_finished_run(folder / entry.name);
    if (found.files) {
      entry.run = std::move(found.files);
      entry.status = SweepEntry::Status::done;
    } else if (!found.damage.empty()) {
      entry.status = SweepEntry::Status::failed;
      entry.error = found.damage + "; the sweep's command does this run again";
    } else if (const auto error = errors.find(entry.name); error != errors.end()) {
      entry.status = SweepEntry::Status::failed;
      entry.error = error->second;
    }
  }
  return sweep;
}

void write_sweep_results(const SweepResults& sweep) {
  write_file_atomically(sweep.folder / "results.csv", results_csv(sweep));
  write_file_atomically(sweep.folder / "results.jsonl", results_jsonl(sweep));
  write_file_atomically(sweep.folder / "report.html", sweep_page(sweep, plotting_library()));
}

}  // namespace qnudge
