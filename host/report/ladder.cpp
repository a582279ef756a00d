// SPDX-License-Identifier: MIT
#include "qnudge/report/ladder.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/table.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;
using Runs = std::vector<const LadderRun*>;

double accuracy(const LadderRun& run) {
  require(!run.images.empty() && run.images.size() == run.right.size(), ErrorKind::internal,
          "ladder: rung '{}' has {} images and {} results", run.rung, run.images.size(), run.right.size());
  return static_cast<double>(std::count(run.right.begin(), run.right.end(), true)) /
         static_cast<double>(run.images.size());
}

/// Interval of `runs` minus the runs of rung `base` with the same bits and seeds.
std::optional<MeanInterval> difference(const Runs& runs, const std::vector<LadderRun>& all, const std::string& base) {
  struct Sum {
    double difference = 0, count = 0;
  };
  std::map<std::int64_t, Sum> by_image;
  for (const LadderRun* run : runs) {
    if (run->rung == base) return std::nullopt;
    const auto other = std::find_if(all.begin(), all.end(), [&](const LadderRun& r) {
      return r.rung == base && r.bits == run->bits && r.seed == run->seed && r.images == run->images;
    });
    if (other == all.end()) continue;
    for (std::size_t i = 0; i < run->images.size(); ++i) {
      Sum& sum = by_image[run->images[i]];
      sum.difference += static_cast<double>(run->right[i]) - static_cast<double>(other->right[i]);
      sum.count += 1;
    }
  }
  if (by_image.empty()) return std::nullopt;
  std::vector<double> means;
  for (const auto& [image, sum] : by_image) means.push_back(sum.difference / sum.count);
  return mean_interval(means);
}

LadderRow make_row(const Runs& runs, const std::vector<LadderRun>& all) {
  LadderRow row;
  row.rung = runs.front()->rung;
  row.bits = runs.front()->bits;
  const auto n = static_cast<double>(runs.size());
  for (const LadderRun* run : runs) {
    row.accuracy.push_back(accuracy(*run));
    row.mean += row.accuracy.back() / n;
    row.seconds += run->seconds / n;
    row.evaluations += static_cast<double>(run->evaluations) / n;
  }
  if (runs.size() > 1) {
    double squares = 0;
    for (const double a : row.accuracy) squares += (a - row.mean) * (a - row.mean);
    row.deviation = std::sqrt(squares / (n - 1));
  }
  row.over_nearest = difference(runs, all, "nearest");
  row.over_descent = difference(runs, all, "descent");
  return row;
}

std::string interval_text(const std::optional<MeanInterval>& interval) {
  if (!interval) return "";
  return fmt::format("{} ({} to {})", points_text(interval->mean), points_text(interval->low),
                     points_text(interval->high));
}

constexpr const char* kTitles[] = {"bits",          "rung",          "test top-1", "sd over seeds",
                                   "minus nearest", "minus descent", "candidates", "seconds"};

std::vector<std::string> cells(const LadderRow& row) {
  return {fmt::format("{}", row.bits),
          row.rung,
          percent_text(row.mean),
          row.deviation ? fmt::format("{:.2f}", 100 * *row.deviation) : "",
          interval_text(row.over_nearest),
          interval_text(row.over_descent),
          count_text(std::llround(row.evaluations)),
          fmt::format("{:.1f}", row.seconds)};
}

Json to_json(const std::optional<MeanInterval>& interval) {
  return interval ? Json{{"n", interval->n}, {"mean", interval->mean}, {"low", interval->low}, {"high", interval->high}}
                  : Json(nullptr);
}

}  // namespace

std::vector<LadderRow> make_ladder(const std::vector<LadderRun>& runs) {
  std::vector<std::pair<int, std::string>> order;
  std::map<std::pair<int, std::string>, Runs> groups;
  for (const LadderRun& run : runs) {
    const std::pair<int, std::string> key{run.bits, run.rung};
    if (groups[key].empty()) order.push_back(key);
    groups[key].push_back(&run);
  }
  std::vector<LadderRow> rows;
  for (const auto& key : order) rows.push_back(make_row(groups[key], runs));
  return rows;
}

std::string ladder_text(const std::vector<LadderRow>& rows) {
  std::vector<TextTable::Column> columns;
  for (const char* title : kTitles) columns.push_back({title});
  columns[1].align = TextTable::Align::left;
  TextTable table(columns);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i > 0 && rows[i].bits != rows[i - 1].bits) table.add_rule();
    table.add(cells(rows[i]));
  }
  return table.text();
}

std::string ladder_markdown(const std::vector<LadderRow>& rows) {
  std::string text = fmt::format("| {} |\n", fmt::join(kTitles, " | "));
  for (std::size_t i = 0; i < std::size(kTitles); ++i) text += i == 1 ? "|---" : "|---:";
  text += "|\n";
  for (const LadderRow& row : rows) text += fmt::format("| {} |\n", fmt::join(cells(row), " | "));
  return text;
}

std::string ladder_json(const std::vector<LadderRow>& rows) {
  Json all = Json::array();
  for (const LadderRow& row : rows) {
    all.push_back({{"bits", row.bits},
                   {"rung", row.rung},
                   {"accuracy", row.accuracy},
                   {"mean", row.mean},
                   {"deviation", row.deviation ? Json(*row.deviation) : Json(nullptr)},
                   {"minus_nearest", to_json(row.over_nearest)},
                   {"minus_descent", to_json(row.over_descent)},
                   {"evaluations", row.evaluations},
                   {"seconds", row.seconds}});
  }
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace qnudge
