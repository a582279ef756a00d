// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>

#include "csv_numbers.hpp"
#include "csv_table.hpp"
#include "csv_times.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

using Fields = std::vector<std::string_view>;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::size_t column_of(const Fields& names, const std::string& name) {
  const auto it = std::find(names.begin(), names.end(), name);
  return name.empty() || it == names.end() ? kNone : static_cast<std::size_t>(it - names.begin());
}

/// What the columns of a file are.
struct Columns {
  Fields names;                      // of all columns
  std::vector<std::size_t> sensors;  // columns
  std::size_t label = kNone, time = kNone;
};

/// The line of names; it may stand under one that groups the columns.
Fields read_names(CsvTable& table, const SeriesConfig& config, const std::string& path) {
  const auto names_a_column = [&](const Fields& names) {
    return column_of(names, config.label_column) != kNone || column_of(names, config.time_column) != kNone;
  };
  Fields first, second;
  require(table.next(first), ErrorKind::input, "{}: is empty; it needs a line of column names", path);
  if (names_a_column(first)) return first;
  if (table.next(second) && names_a_column(second)) return second;
  table.rewind();
  table.next(first);
  return first;
}

Columns read_columns(CsvTable& table, const SeriesConfig& config, bool labelled, const std::string& path) {
  Columns columns{.names = read_names(table, config, path), .sensors = {}};
  const Fields& names = columns.names;
  const auto& skip = config.skip_columns;
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool skipped = names[i].empty() && std::find(skip.begin(), skip.end(), "") != skip.end();
    require(!names[i].empty() || skipped, ErrorKind::input,
            "{}: column {} has no name; name it, or add \"\" to data.series.skip_columns", table.where(), i + 1);
    require(skipped || seen.insert(names[i]).second, ErrorKind::input, "{}: two columns are named '{}'", table.where(),
            names[i]);
  }
  columns.label = column_of(names, config.label_column);
  columns.time = column_of(names, config.time_column);
  require(columns.label != kNone || !labelled, ErrorKind::input,
          "{}: has no column '{}' (data.series.label_column); its columns are {}", table.where(), config.label_column,
          fmt::join(names, ", "));
  require(columns.time != kNone || config.time_column.empty(), ErrorKind::input,
          "{}: has no column '{}' (data.series.time_column); its columns are {}", table.where(), config.time_column,
          fmt::join(names, ", "));
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool skipped = std::find(skip.begin(), skip.end(), names[i]) != skip.end();
    if (i != columns.label && i != columns.time && !skipped) columns.sensors.push_back(i);
  }
  require(!columns.sensors.empty(), ErrorKind::input, "{}: no column is left for a sensor", table.where());
  return columns;
}

/// 0 and 1, or Normal and Attack, of which published files also hold "A ttack".
bool is_anomalous(const CsvTable& table, std::string_view field, std::string_view name) {
  std::string word;
  for (const char c : field) {
    if (c != ' ') word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  if (word == "attack" || word == "normal") return word == "attack";
  require(!field.empty(), ErrorKind::input, "{}: the value of '{}' is missing; fill it in or take the row out",
          table.where(), name);
  std::string text(field);
  std::replace(text.begin(), text.end(), ',', '.');
  const std::optional<double> mark = plain_number(text);
  require(mark == 0.0 || mark == 1.0, ErrorKind::input,
          "{}: the value of '{}' is '{}'; it must be 0 or 1, Normal or Attack", table.where(), name,
          shown_field(field));
  return mark == 1.0;
}

}  // namespace

Series read_csv_series(const std::filesystem::path& path, const SeriesConfig& config, bool labelled) {
  CsvTable table(path);
  const Columns columns = read_columns(table, config, labelled, path.string());
  Series series;
  series.origin = path.string();
  for (const std::size_t c : columns.sensors) series.names.emplace_back(columns.names[c]);

  CsvNumbers numbers(series.names, table.delimiter());
  CsvTimes times;
  Fields row;
  while (table.next(row)) {
    require(row.size() == columns.names.size(), ErrorKind::input, "{}: {} fields; the {} columns need one each",
            table.where(), row.size(), columns.names.size());
    const std::string where = table.where();
    for (std::size_t s = 0; s < columns.sensors.size(); ++s) {
      series.values.push_back(numbers.read(row[columns.sensors[s]], s, where));
    }
    const bool anomalous =
        columns.label != kNone && is_anomalous(table, row[columns.label], columns.names[columns.label]);
    series.anomalous.push_back(anomalous ? 1 : 0);
    if (columns.time != kNone) times.add(row[columns.time], where);
  }
  require(series.rows() > 0, ErrorKind::input, "{}: has no row under its names", path.string());
  numbers.finish(series.values);
  series.gaps = times.gaps();
  return series;
}

}  // namespace qnudge
