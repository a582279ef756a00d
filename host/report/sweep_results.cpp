// SPDX-License-Identifier: MIT
#include "qnudge/report/sweep_results.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/html_page.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
constexpr std::array<const char*, 5> kModels = {"float", "nearest", "bias", "start", "tuned"};

std::string dumped(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const char* status_text(SweepEntry::Status status) {
  switch (status) {
    case SweepEntry::Status::open:
      return "open";
    case SweepEntry::Status::failed:
      return "failed";
    case SweepEntry::Status::done:
      break;
  }
  return "done";
}

/// An axis's value as JSON: a number where it reads as one.
Json value_json(const std::string& text) {
  return Json::accept(text) ? Json::parse(text) : Json(text);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

/// What a line of results says of a done run; the same names in both files.
Json metrics(const RunFiles& run) {
  Json m;
  for (const char* model : kModels) {
    for (const char* set : {"fitness", "gate", "test"}) {
      const std::string name = fmt::format("{}_{}", model, set);
      if (run.has(model)) {
        m[name] = run.score(model, set).value;
      } else {
        m[name] = nullptr;
      }
    }
  }
  m["test_images"] = run.score("tuned", "test").n;
  for (const char* pair : {"tuned_minus_nearest", "tuned_minus_start"}) {
    const auto& interval = run.report.at("interval").at(pair);
    m[pair] = interval.at("difference").get<double>();
    m[std::string(pair) + "_low"] = interval.at("low").get<double>();
    m[std::string(pair) + "_high"] = interval.at("high").get<double>();
  }
  for (const char* key : {"size_bytes", "evaluations"}) m[key] = run.report.at(key).get<std::int64_t>();
  m["stop_reason"] = run.report.at("stop_reason").get<std::string>();
  m["gate_kept"] = run.report.at("gate_kept").get<bool>();
  m["leaky"] = run.report.at("leaky").get<bool>();
  m["seconds"] = run.report.at("seconds").get<double>();
  m["search_seconds"] = run.report.at("search_seconds").get<double>();
  return m;
}

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

std::string interval_text(const SeedInterval& interval) {
  if (interval.n < 2) return "-";
  return fmt::format("{:.2f} to {:.2f}", 100 * interval.low, 100 * interval.high);
}

Json to_json(const SeedInterval& interval) {
  Json json = {{"mean", interval.mean}};
  if (interval.n < 2) return json;
  json["deviation"] = interval.deviation;
  json["low"] = interval.low;
  json["high"] = interval.high;
  return json;
}

}  // namespace

std::vector<std::string> SweepResults::group_axes() const {
  std::vector<std::string> keys;
  std::copy_if(axes.begin(), axes.end(), std::back_inserter(keys),
               [](const std::string& key) { return key != "seed"; });
  return keys;
}

std::vector<SweepGroup> SweepResults::groups() const {
  std::vector<SweepGroup> groups;
  std::map<std::vector<std::string>, std::size_t> places;
  for (const SweepEntry& entry : entries) {
    std::vector<std::string> values;
    for (std::size_t a = 0; a < axes.size(); ++a) {
      if (axes[a] != "seed") values.push_back(entry.values[a]);
    }
    const auto [place, fresh] = places.emplace(values, groups.size());
    if (fresh) groups.push_back({.values = values, .runs = {}, .test = {}});
    if (entry.run) groups[place->second].runs.push_back(&entry);
  }
  for (SweepGroup& group : groups) {
    std::map<std::string, std::vector<double>> accuracy;
    const auto n = static_cast<double>(group.runs.size());
    for (const SweepEntry* entry : group.runs) {
      for (const char* model : kModels) {
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

std::size_t SweepResults::count(SweepEntry::Status status) const {
  return static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(), [&](const SweepEntry& e) { return e.status == status; }));
}

std::string sweep_json(const SweepResults& sweep) {
  Json json = {{"version", kVersion}, {"axes", sweep.axes}, {"runs", Json::array()}};
  for (const SweepEntry& entry : sweep.entries) {
    json["runs"].push_back({{"run", entry.name}, {"values", entry.values}});
  }
  return dumped(json, 1) + "\n";
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
    if (is_finished_run(folder / entry.name)) {
      entry.run = read_run_files(folder / entry.name, false);
      entry.status = SweepEntry::Status::done;
    } else if (const auto error = errors.find(entry.name); error != errors.end()) {
      entry.status = SweepEntry::Status::failed;
      entry.error = error->second;
    }
  }
  return sweep;
}

std::string results_csv(const SweepResults& sweep) {
  Json names;  // of the metrics: those of any done run
  for (const SweepEntry& entry : sweep.entries) {
    if (entry.run) {
      names = metrics(*entry.run);
      break;
    }
  }
  std::string text = "run";
  for (const std::string& key : sweep.axes) text.append(",").append(csv_field(key));
  text += ",status";
  for (const auto& [name, value] : names.items()) text.append(",").append(name);
  text += ",error\r\n";
  for (const SweepEntry& entry : sweep.entries) {
    text += csv_field(entry.name);
    for (const std::string& value : entry.values) text.append(",").append(csv_field(value));
    text += fmt::format(",{}", status_text(entry.status));
    const Json own = entry.run ? metrics(*entry.run) : Json();
    for (const auto& [name, unused] : names.items()) {
      text += ",";
      if (!entry.run || own[name].is_null()) continue;
      text += own[name].is_string() ? csv_field(own[name]) : dumped(own[name]);
    }
    text.append(",").append(csv_field(entry.error)).append("\r\n");
  }
  return text;
}

std::string results_jsonl(const SweepResults& sweep) {
  std::string text;
  for (const SweepEntry& entry : sweep.entries) {
    Json line = {{"run", entry.name}, {"values", Json::object()}, {"status", status_text(entry.status)}};
    for (std::size_t a = 0; a < sweep.axes.size(); ++a) line["values"][sweep.axes[a]] = value_json(entry.values[a]);
    if (entry.run) line.update(metrics(*entry.run));
    if (!entry.error.empty()) line["error"] = entry.error;
    text += dumped(line) + "\n";
  }
  return text;
}

std::string sweep_text(const SweepResults& sweep) {
  std::vector<TextTable::Column> columns;
  for (const std::string& key : sweep.group_axes()) columns.push_back({key, TextTable::Align::left});
  for (const char* title :
       {"seeds", "float", "nearest", "start", "tuned", "deviation", "95 % over seeds", "bytes", "seconds"}) {
    columns.push_back({title});
  }
  TextTable table(columns);
  for (const SweepGroup& group : sweep.groups()) {
    std::vector<std::string> row = group.values;
    row.push_back(fmt::format("{}", group.runs.size()));
    if (group.runs.empty()) {
      row.insert(row.end(), 8, "-");
    } else {
      for (const char* model : {"float", "nearest", "start", "tuned"}) {
        row.push_back(fmt::format("{:.2f}", 100 * group.test.at(model).mean));
      }
      const SeedInterval& tuned = group.test.at("tuned");
      row.push_back(tuned.n < 2 ? "-" : fmt::format("{:.2f}", 100 * tuned.deviation));
      row.push_back(interval_text(tuned));
      row.push_back(count_text(group.size_bytes));
      row.push_back(fmt::format("{:.1f}", group.seconds));
    }
    table.add(std::move(row));
  }
  const bool leaky = std::any_of(sweep.entries.begin(), sweep.entries.end(), [](const SweepEntry& entry) {
    return entry.run && entry.run->report.at("leaky").get<bool>();
  });
  std::string text = fmt::format(
      "Top-1 on test images in per cent{}: means over seeds; deviation and interval (Student's "
      "t) of tuned\n\n{}",
      leaky ? " (LEAKY: protocol \"paper\" scored candidates on them)" : "", table.text());
  for (const SweepEntry& entry : sweep.entries) {
    if (entry.status == SweepEntry::Status::failed) text += fmt::format("\nfailed  {}: {}", entry.name, entry.error);
  }
  const std::size_t open = sweep.count(SweepEntry::Status::open);
  text +=
      fmt::format("\n{} of {} runs done, {} failed{}\n", sweep.count(SweepEntry::Status::done), sweep.entries.size(),
                  sweep.count(SweepEntry::Status::failed), open > 0 ? fmt::format(", {} open", open) : "");
  return text;
}

std::string sweep_summary_json(const SweepResults& sweep) {
  Json json = {{"version", kVersion}, {"folder", sweep.folder.string()}, {"groups", Json::array()}};
  const std::vector<std::string> keys = sweep.group_axes();
  for (const SweepGroup& group : sweep.groups()) {
    Json entry = {{"values", Json::object()}, {"runs", group.runs.size()}, {"test", Json::object()}};
    for (std::size_t a = 0; a < keys.size(); ++a) entry["values"][keys[a]] = value_json(group.values[a]);
    for (const auto& [model, interval] : group.test) entry["test"][model] = to_json(interval);
    if (!group.runs.empty()) entry.update({{"size_bytes", group.size_bytes}, {"seconds", group.seconds}});
    json["groups"].push_back(std::move(entry));
  }
  json["runs"] = Json::array();
  for (const SweepEntry& entry : sweep.entries) {
    Json run = {{"run", entry.name}, {"status", status_text(entry.status)}};
    if (!entry.error.empty()) run["error"] = entry.error;
    json["runs"].push_back(std::move(run));
  }
  return dumped(json, 2) + "\n";
}

void write_sweep_results(const SweepResults& sweep) {
  write_file_atomically(sweep.folder / "results.csv", results_csv(sweep));
  write_file_atomically(sweep.folder / "results.jsonl", results_jsonl(sweep));
  write_file_atomically(sweep.folder / "report.html", sweep_page(sweep, plotting_library()));
}

}  // namespace qnudge
