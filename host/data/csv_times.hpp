// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// Which of a date's two numbers before the year comes first, where they are parted by slashes.
enum class DateOrder { day_first, month_first };

/// Seconds since some instant: "28/12/2015 10:00:00 AM", "28.12.2015", "2020-03-09 10:14:33", the same with T,
/// fractions or Z, or a plain number of seconds. NaN if it is none of these or no day of the calendar.
double parse_time(std::string_view text, DateOrder order);

/// The time stamps of one file. Whether 3/4/2015 is a day of April or of March is told from all of them: one of the
/// orders may give a date that does not exist, or rows that are out of order; where both are possible it must not
/// matter.
class CsvTimes {
 public:
  /// The next row's; `where` is "FILE:LINE". Throws Error(kind input) for a text that is no time, and for one that
  /// lies before that of the row above.
  void add(std::string_view text, const std::string& where);

  /// Rows before which time was left out: kGapSteps usual steps or more (qnudge/data/series.hpp). Throws Error(kind
  /// input) where that depends on the order of day and month, which nothing tells.
  std::vector<std::int64_t> gaps() const;

 private:
  struct Reading {
    DateOrder order;
    std::vector<double> times;
    std::string fault;  ///< of the row that ruled it out; empty: possible
  };
  std::string fault_of(const Reading& reading, double time, std::string_view text, const std::string& where) const;

  std::array<Reading, 2> readings_ = {{{DateOrder::day_first, {}, {}}, {DateOrder::month_first, {}, {}}}};
  std::string ambiguous_, ambiguous_where_;  ///< the first date that both orders read, differently
};

}  // namespace qnudge
