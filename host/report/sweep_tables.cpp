// SPDX-License-Identifier: MIT
// Results of a sweep as files and on the terminal.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "qnudge/core/printable.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/sweep_results.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

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
  for (const char* model : kSweepModels) {
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

/// What is the same in all runs, for people; empty if nothing is.
std::string fixed_line(const SweepResults& sweep) {
  const std::vector<std::string> fixed = sweep.fixed_values();
  return fixed.empty() ? "" : fmt::format("all with {}\n", fmt::join(fixed, ", "));
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
      "{} on {} in per cent{}: means over seeds; deviation and interval (Student's t) of tuned\n{}\n{}",
      sweep.measure().metric, sweep.measure().samples,
      leaky ? " (LEAKY: protocol \"paper\" scored candidates on them)" : "", fixed_line(sweep), table.text());
  for (const SweepEntry& entry : sweep.entries) {
    if (entry.status == SweepEntry::Status::failed)
      text += fmt::format("\nfailed  {}: {}", entry.name, cleaned(entry.error));
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

}  // namespace qnudge
