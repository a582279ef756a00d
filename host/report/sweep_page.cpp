// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "qnudge/core/error.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/report/run_report.hpp"
#include "run_plots.hpp"

namespace qnudge {
namespace {

using Json = HtmlPage::Json;
constexpr std::size_t kMostLines = 8;  // that a plot can tell apart
constexpr const char* kBits = "quant.grid.bits";

std::string joined(const std::vector<std::string>& keys, const std::vector<std::string>& values,
                   const std::string& without = "") {
  std::string text;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] != without) text += fmt::format("{}{}={}", text.empty() ? "" : ", ", keys[i], values[i]);
  }
  return text;
}

Json point(const Json& x, const SeedInterval& interval) {
  Json p = {{"x", x}, {"y", 100 * interval.mean}};
  if (interval.n > 1) {
    p["low"] = 100 * interval.low;
    p["high"] = 100 * interval.high;
  }
  return p;
}

/// One line of the plot against bits.
struct Line {
  std::string name;
  std::size_t look = 0;  ///< as page.js has it
  std::map<std::string, SeedInterval> by_bits;
};

std::vector<Line> lines_of(const std::vector<SweepGroup>& groups, const std::vector<std::string>& keys,
                           const std::vector<std::string>& models) {
  std::vector<Line> lines;
  const std::size_t bits = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), kBits) - keys.begin());
  for (const std::string& model : models) {
    for (const SweepGroup& group : groups) {
      if (!group.test.contains(model)) continue;
      const std::string rest = joined(keys, group.values, kBits);
      const std::string name = rest.empty() ? model : fmt::format("{} ({})", model, rest);
      auto line = std::find_if(lines.begin(), lines.end(), [&](const Line& l) { return l.name == name; });
      if (line == lines.end()) line = lines.insert(lines.end(), {name, lines.size(), {}});
      line->by_bits[group.values[bits]] = group.test.at(model);
    }
  }
  return lines;
}

/// Lines by bits; `below` is taken from every accuracy.
Json bits_plot(const std::vector<Line>& lines, double below, const std::string& title) {
  Json series = Json::array(), labels = Json::array();
  std::map<std::string, bool> widths;  // single digits: in order
  for (const Line& line : lines) {
    Json points = Json::array();
    for (const auto& [bits, interval] : line.by_bits) {
      const SeedInterval moved{interval.n, interval.mean - below, interval.deviation, interval.low - below,
                               interval.high - below};
      points.push_back(point(bits, moved));
      widths[bits] = true;
    }
    series.push_back({{"name", line.name}, {"points", std::move(points)}, {"look", line.look}});
  }
  for (const auto& [bits, unused] : widths) labels.push_back(bits);
  return {{"kind", "lines"},
          {"x", {{"title", "Bits per weight"}, {"labels", std::move(labels)}}},
          {"y", {{"title", title}}},
          {"series", std::move(series)}};
}

void against_bits(const std::vector<SweepGroup>& groups, const std::vector<std::string>& keys,
                  const SweepResults::Measure& measure, HtmlPage& page) {
  const std::string what = fmt::format("{} on {}", measure.metric, measure.samples);
  const bool alone = keys.size() == 1;
  const std::vector<std::string> models =
      alone ? std::vector<std::string>{"float", "nearest", "start", "tuned"} : std::vector<std::string>{"tuned"};
  std::vector<Line> lines = lines_of(groups, keys, models);
  const std::size_t all = lines.size();
  lines.resize(std::min(all, kMostLines));
  page.plot(what + " against bits: means over seeds with 95 % intervals",
            what + " by width of the weights; the table below has the numbers.", bits_plot(lines, 0, what + " (%)"));
  if (all > kMostLines) page.paragraph(fmt::format("The first {} of {} combinations are drawn.", kMostLines, all));
  if (!alone) return;
  page.plot("What is lost against the float model: start and tuned",
            "The same for start and tuned alone, less the float model's.",
            bits_plot({lines[2], lines[3]}, lines[0].by_bits.begin()->second.mean,
                      fmt::format("{} less the float model's (points)", measure.metric)));
}

/// Without an axis of bits: a place for every group.
void against_groups(const std::vector<SweepGroup>& groups, const std::vector<std::string>& keys,
                    const SweepResults::Measure& measure, HtmlPage& page) {
  const std::string what = fmt::format("{} on {}", measure.metric, measure.samples);
  Json labels = Json::array(), series = Json::array();
  for (const char* model : {"float", "nearest", "start", "tuned"}) {
    Json points = Json::array();
    for (const SweepGroup& group : groups) {
      if (group.test.contains(model)) points.push_back(point(joined(keys, group.values), group.test.at(model)));
    }
    series.push_back({{"name", model}, {"points", std::move(points)}});
  }
  for (const SweepGroup& group : groups) labels.push_back(joined(keys, group.values));
  page.plot(
      what + ": means over seeds with 95 % intervals", what + " of every combination; the table below has the numbers.",
      {{"kind", "points"},
       {"x", {{"title", keys.empty() ? "All seeds" : fmt::format("{}", fmt::join(keys, ", "))}, {"labels", labels}}},
       {"y", {{"title", what + " (%)"}}},
       {"series", std::move(series)}});
}

void score_table(const std::vector<SweepGroup>& groups, const std::vector<std::string>& keys,
                 const SweepResults::Measure& measure, HtmlPage& page) {
  std::vector<HtmlPage::Column> columns;
  for (const std::string& key : keys) columns.push_back({key, false});
  for (const char* title :
       {"seeds", "float", "nearest", "bias", "start", "tuned", "deviation", "95 % interval", "bytes", "seconds"}) {
    columns.push_back({title});
  }
  std::vector<std::vector<std::string>> rows;
  for (const SweepGroup& group : groups) {
    std::vector<std::string> row = group.values;
    row.push_back(fmt::format("{}", group.runs.size()));
    for (const char* model : {"float", "nearest", "bias", "start", "tuned"}) {
      row.push_back(group.test.contains(model) ? fmt::format("{:.2f}", 100 * group.test.at(model).mean) : "-");
    }
    const bool spread = group.test.contains("tuned") && group.test.at("tuned").n > 1;
    const SeedInterval tuned = spread ? group.test.at("tuned") : SeedInterval{};
    row.push_back(spread ? fmt::format("{:.2f}", 100 * tuned.deviation) : "-");
    row.push_back(spread ? fmt::format("{:.2f} to {:.2f}", 100 * tuned.low, 100 * tuned.high) : "-");
    row.push_back(group.runs.empty() ? "-" : count_text(group.size_bytes));
    row.push_back(group.runs.empty() ? "-" : fmt::format("{:.1f}", group.seconds));
    rows.push_back(std::move(row));
  }
  page.table(fmt::format("{} on {} in per cent: means over seeds; deviation and interval (Student's t) of tuned",
                         measure.metric, measure.samples),
             columns, rows);
}

Json choice(const std::string& label, Json choices) {
  return {{"choose", label}, {"choices", std::move(choices)}};
}

/// Plots of single runs, one at a time.
void run_details(const SweepResults& sweep, HtmlPage& page) {
  Json curves = Json::array(), changes = Json::array(), sensitivity = Json::array();
  std::vector<std::string> sentences, missing;
  std::string title;
  std::size_t done = 0;
  for (const SweepEntry& entry : sweep.entries) {
    if (!entry.run || done++ >= kMostCurves) continue;
    RunFiles run;
    try {
      run = read_run_files(sweep.folder / entry.name);
    } catch (const Error& error) {
      missing.push_back(fmt::format("Not in these plots: {}.", error.what()));
      continue;
    }
    if (!run.curves.empty()) curves.push_back({{"name", sweep.label(entry)}, {"plot", curves_plot(run)}});
    changes.push_back({{"name", sweep.label(entry)}, {"plot", changes_plot(run)}});
    const std::string sentence = curve_unit(run.config).sentence;
    if (std::find(sentences.begin(), sentences.end(), sentence) == sentences.end()) sentences.push_back(sentence);
    if (run.sensitivity.layers.empty()) continue;
    title = sensitivity_title(run.sensitivity);
    sensitivity.push_back({{"name", sweep.label(entry)}, {"plot", sensitivity_plot(run.sensitivity)}});
  }
  page.heading("Search, layer by layer");
  for (const std::string& sentence : missing) page.paragraph(sentence);
  if (done > kMostCurves) {
    page.paragraph(
        fmt::format("Of {} runs the first {} are here; every run's folder has a page of its own.", done, kMostCurves));
  }
  if (!curves.empty()) {
    page.plot(
        "Best candidate against generation, a line per layer (first to last layer: colour from one end to the other)",
        "Fitness of the best candidate by generation for every layer of the chosen run.",
        choice("Run", std::move(curves)));
    for (const std::string& sentence : sentences) page.paragraph(sentence);
  }
  page.plot("Codes changed by the search", "Share of every layer's codes that the search changed, in per cent.",
            choice("Run", std::move(changes)));
  page.heading("Sensitivity");
  SensitivityRanking common;
  try {
    common = read_sensitivity(sweep.folder);
  } catch (const Error& error) {
    page.paragraph(fmt::format("Not here: {}.", error.what()));
  }
  if (sensitivity.empty() && !common.layers.empty()) {
    title = sensitivity_title(common);
    sensitivity.push_back({{"name", sweep.label(sweep.entries.front())}, {"plot", sensitivity_plot(common)}});
  }
  if (sensitivity.empty()) return page.paragraph("Not measured yet: a sweep does so when its runs are done.");
  page.plot(title, "Layers from the least to the most sensitive, in the chosen run.",
            choice("Run", std::move(sensitivity)));
  if (!common.layers.empty()) sensitivity_table(common, page);
}

void change_table(const SweepResults& sweep, HtmlPage& page) {
  std::vector<std::vector<std::string>> rows;
  for (const SweepEntry& entry : sweep.entries) {
    if (!entry.run) continue;
    for (const auto& layer : entry.run->report.at("layers")) {
      const double changed = layer.at("changed_codes").get<double>(), all = layer.at("weights").get<double>();
      rows.push_back({sweep.label(entry), layer.at("name").get<std::string>(),
                      fmt::format("{}", layer.at("bits").get<int>()),
                      count_text(layer.at("changed_codes").get<std::int64_t>()),
                      fmt::format("{:.2f} %", all > 0 ? 100 * changed / all : 0)});
    }
  }
  page.table("Codes changed, all runs and layers",
             {{"run", false}, {"layer", false}, {"bits"}, {"codes changed"}, {"share"}}, rows, true);
}

void time_spent(const std::vector<SweepGroup>& groups, const std::vector<std::string>& keys, HtmlPage& page) {
  page.heading("Time");
  Json labels = Json::array(), search = Json::array(), rest = Json::array();
  for (const SweepGroup& group : groups) {
    if (group.runs.empty()) continue;
    const std::string name = keys.empty() ? "all seeds" : joined(keys, group.values);
    labels.push_back(name);
    search.push_back({{"x", name}, {"y", group.search_seconds}});
    rest.push_back({{"x", name}, {"y", std::max(0.0, group.seconds - group.search_seconds)}});
  }
  page.plot(
      "Wall clock of a run, mean over seeds", "Seconds of search and of everything else; the first table has the sums.",
      {{"kind", "bars"},
       {"horizontal", true},
       {"stacked", true},
       {"x", {{"title", "Combination"}, {"labels", std::move(labels)}}},
       {"y", {{"title", "Time (s)"}}},
       {"series", Json::array({{{"name", "search"}, {"points", std::move(search)}},
                               {{"name", "reference, closed forms, evaluation"}, {"points", std::move(rest)}}})}});
}

void run_list(const SweepResults& sweep, HtmlPage& page) {
  page.heading("Runs");
  std::vector<std::vector<std::string>> rows;
  for (const SweepEntry& entry : sweep.entries) {
    if (!entry.run) {
      rows.push_back(
          {entry.name, entry.status == SweepEntry::Status::failed ? "failed" : "open", "-", "-", entry.error});
      continue;
    }
    const auto& gain = entry.run->report.at("interval").at("tuned_minus_nearest");
    rows.push_back({sweep.label(entry), "done", fmt::format("{:.2f}", 100 * entry.run->score("tuned", "test").value),
                    fmt::format("{} ({} to {})", points_text(gain.at("difference").get<double>()),
                                points_text(gain.at("low").get<double>()), points_text(gain.at("high").get<double>())),
                    fmt::format("{:.1f}", entry.run->report.at("seconds").get<double>())});
  }
  page.table(
      fmt::format("Every run: {} of tuned on {} in per cent; tuned minus nearest in points with its paired 95 % "
                  "interval",
                  sweep.measure().metric, sweep.measure().samples),
      {{"run", false}, {"status", false}, {"tuned"}, {"tuned - nearest"}, {"seconds, or what went wrong", false}},
      rows);
}

}  // namespace

std::string sweep_page(const SweepResults& sweep, std::string_view library) {
  HtmlPage page(fmt::format("qnudge sweep: {}", std::filesystem::absolute(sweep.folder).filename().string()));
  const std::vector<std::string> keys = sweep.group_axes();
  const std::vector<SweepGroup> groups = sweep.groups();
  const std::size_t done = sweep.count(SweepEntry::Status::done);
  page.paragraph(fmt::format("{} of {} runs done, {} failed. Axes: {}.", done, sweep.entries.size(),
                             sweep.count(SweepEntry::Status::failed), fmt::join(sweep.axes, ", ")));
  const std::vector<std::string> fixed = sweep.fixed_values();
  if (!fixed.empty()) page.paragraph(fmt::format("All with {}.", fmt::join(fixed, ", ")));
  const auto leaky = [](const SweepEntry& e) { return e.run && e.run->report.at("leaky").get<bool>(); };
  if (std::any_of(sweep.entries.begin(), sweep.entries.end(), leaky)) page.warning(kLeakyNote);
  if (done > 0) {
    const SweepResults::Measure measure = sweep.measure();
    page.heading(measure.metric);
    const bool widths = std::find(keys.begin(), keys.end(), kBits) != keys.end();
    widths ? against_bits(groups, keys, measure, page) : against_groups(groups, keys, measure, page);
    score_table(groups, keys, measure, page);
    run_details(sweep, page);
    change_table(sweep, page);
    time_spent(groups, keys, page);
  }
  run_list(sweep, page);
  return page.text(library);
}

}  // namespace qnudge
