// SPDX-License-Identifier: MIT
#include "csv_numbers.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "csv_table.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

std::string_view without_plus(std::string_view text) {
  const bool plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return text.substr(plus ? 1 : 0);
}

std::string_view without_sign(std::string_view text) {
  return text.substr(!text.empty() && (text[0] == '+' || text[0] == '-') ? 1 : 0);
}

bool all_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// "1,000" or "12,345,678" with `mark` for the comma: groups of three behind a first one of one to three, no leading 0.
bool is_grouped(std::string_view text, char mark) {
  text = without_sign(text);
  std::size_t at = text.find(mark);
  if (at == 0 || at > 3 || text[0] == '0' || !all_digits(text.substr(0, at))) return false;
  for (; at != text.npos; at = text.find(mark, at + 1)) {
    const std::string_view group = text.substr(at + 1, 3);
    const bool ends = at + 4 == text.size() || (at + 4 < text.size() && text[at + 4] == mark);
    if (group.size() != 3 || !all_digits(group) || !ends) return false;
  }
  return true;
}

/// The number with decimals behind `decimal`, the other mark between thousands.
std::optional<double> number_with(std::string_view text, char decimal) {
  const char thousands = decimal == '.' ? ',' : '.';
  const std::string_view whole = text.substr(0, text.find(decimal));
  if (whole.find(thousands) != whole.npos && !is_grouped(without_plus(whole), thousands)) return std::nullopt;
  std::string plain;
  for (const char c : text) {
    if (c != thousands || plain.find('.') != plain.npos) plain += c == decimal ? '.' : c;
  }
  return plain_number(plain);
}

}  // namespace

std::optional<double> plain_number(std::string_view text) {
  text = without_plus(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

CsvNumbers::CsvNumbers(std::vector<std::string> columns, char delimiter) : delimiter_(delimiter) {
  for (std::string& name : columns) columns_.push_back({.name = std::move(name)});
}

void CsvNumbers::refuse(std::string_view field, std::size_t column, const std::string& where) const {
  fail(ErrorKind::input, "{}: the value of '{}' is '{}'; it must be a finite number", where, columns_[column].name,
       shown_field(field));
}

double CsvNumbers::read(std::string_view field, std::size_t column, const std::string& where) {
  require(!field.empty(), ErrorKind::input, "{}: the value of '{}' is missing; fill it in or take the row out", where,
          columns_[column].name);
  ++count_;
  const std::size_t comma = field.rfind(','), point = field.rfind('.');
  if (comma == field.npos && point == field.npos) {
    const std::optional<double> value = plain_number(field);
    if (!value) refuse(field, column, where);
    if (std::abs(*value) >= 1000) columns_[column].large_integers = true;
    if (*value != 0 && std::abs(*value) < 1000) columns_[column].small_integers = true;
    return *value;
  }
  const Mark last = point == field.npos || (comma != field.npos && comma > point) ? Mark::comma : Mark::point;
  const bool both = comma != field.npos && point != field.npos;
  const char mark = last == Mark::comma ? ',' : '.';
  if (!both && is_grouped(field, mark)) {
    if (std::count(field.begin(), field.end(), mark) == 1) return undecided(field, last, column, where);
    decide(last == Mark::comma ? Mark::point : Mark::comma, field, column, where);  // several groups: thousands
  } else {
    decide(last, field, column, where);
  }
  const std::optional<double> value = number_with(field, decimal_ == Mark::comma ? ',' : '.');
  if (!value) refuse(field, column, where);
  return *value;
}

void CsvNumbers::decide(Mark decimal, std::string_view field, std::size_t column, const std::string& where) {
  if (!number_with(field, decimal == Mark::comma ? ',' : '.')) refuse(field, column, where);
  if (decimal_ == decimal) return;
  require(decimal_ == Mark::unknown, ErrorKind::input,
          "{}: the value of '{}' is '{}', with a decimal {}, but {} has a decimal {}; a file needs one kind", where,
          columns_[column].name, shown_field(field), decimal == Mark::comma ? "comma" : "point", decided_by_,
          decimal == Mark::comma ? "point" : "comma");
  decimal_ = decimal;
  decided_by_ = fmt::format("'{}' in {}", shown_field(field), where);
}

double CsvNumbers::undecided(std::string_view field, Mark mark, std::size_t column, const std::string& where) {
  if (mark == Mark::comma) columns_[column].grouped = true;
  if (decimal_ != Mark::unknown) return *number_with(field, decimal_ == Mark::comma ? ',' : '.');
  if (mark == Mark::comma && commas_.empty()) {
    first_comma_ = field;
    first_column_ = columns_[column].name;
    first_where_ = where;
  }
  (mark == Mark::comma ? commas_ : points_).push_back(count_ - 1);
  return *number_with(field, mark == Mark::comma ? ',' : '.');
}

/// A column like 998, 999, "1,000": were the comma decimal, some of its numbers would have other numbers of decimals.
bool CsvNumbers::has_column_of_thousands() const {
  return std::any_of(columns_.begin(), columns_.end(),
                     [](const Column& c) { return c.grouped && c.small_integers && !c.large_integers; });
}

void CsvNumbers::finish(std::vector<double>& values) {
  if (decimal_ == Mark::unknown && !commas_.empty()) {
    const bool semicolons = delimiter_ == ';', thousands = has_column_of_thousands();
    require(semicolons != thousands, ErrorKind::input,
            "{}: the value of '{}' is '{}', which may be {} or {}: nothing in the file tells whether its commas mark "
            "decimals or thousands; write numbers with a decimal point and without separators",
            first_where_, first_column_, first_comma_, *number_with(first_comma_, ','),
            *number_with(first_comma_, '.'));
    decimal_ = semicolons ? Mark::comma : Mark::point;
  }
  // What was read as thousandths is thousands; where nothing speaks of commas, points are decimal.
  if (decimal_ == Mark::unknown) return;
  for (const std::size_t i : decimal_ == Mark::comma ? points_ : commas_) values[i] = std::round(values[i] * 1000);
}

}  // namespace qnudge
