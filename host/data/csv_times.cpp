// SPDX-License-Identifier: MIT
#include "csv_times.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "csv_table.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

/// Reads digits and separators from the front of a text.
class TimeReader {
 public:
  explicit TimeReader(std::string_view text) : rest_(text) {}

  int digits(std::size_t least, std::size_t most) {
    std::size_t count = 0;
    int value = 0;
    while (count < most && count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9') {
      value = 10 * value + (rest_[count++] - '0');
    }
    ok_ = ok_ && count >= least;
    rest_.remove_prefix(count);
    return value;
  }
  bool take(std::string_view any) {
    const bool there = !rest_.empty() && any.find(rest_.front()) != any.npos;
    if (there) rest_.remove_prefix(1);
    return there;
  }
  void expect(std::string_view any) { ok_ = take(any) && ok_; }
  double fraction() {
    double value = 0, unit = 0.1;
    for (; !rest_.empty() && rest_.front() >= '0' && rest_.front() <= '9'; unit /= 10, rest_.remove_prefix(1)) {
      value += unit * (rest_.front() - '0');
    }
    return value;
  }
  std::string_view rest() const { return rest_; }
  void fail_unless(bool condition) { ok_ = ok_ && condition; }
  bool ok() const { return ok_; }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

/// Days of the proleptic Gregorian calendar since 1 March of year 0.
std::int64_t days_of(std::int64_t year, std::int64_t month, std::int64_t day) {
  const std::int64_t y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
}

int days_in(int year, int month) {
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  if (month == 2) return leap ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/// The usual step: the median of those that are not zero; 0 if there is none.
double usual_step(const std::vector<double>& times) {
  std::vector<double> steps;
  for (std::size_t i = 1; i < times.size(); ++i) {
    if (times[i] > times[i - 1]) steps.push_back(times[i] - times[i - 1]);
  }
  if (steps.empty()) return 0;
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return *middle;
}

std::vector<std::int64_t> gaps_in(const std::vector<double>& times) {
  const double longest = kGapSteps * usual_step(times);
  std::vector<std::int64_t> gaps;
  for (std::size_t i = 1; i < times.size(); ++i) {
    if (times[i] - times[i - 1] > longest) gaps.push_back(static_cast<std::int64_t>(i));
  }
  return gaps;
}

}  // namespace

double parse_time(std::string_view text, DateOrder order) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size()) return std::isfinite(seconds) ? seconds : std::nan("");

  TimeReader in(text);
  int year = in.digits(1, 4), month = 0, day = 0;
  const bool slashes = in.take("/");
  if (slashes || in.take(".")) {
    day = year;
    month = in.digits(1, 2);
    in.expect(slashes ? "/" : ".");
    year = in.digits(4, 4);
    if (slashes && order == DateOrder::month_first) std::swap(day, month);
  } else {
    in.expect("-");
    month = in.digits(1, 2);
    in.expect("-");
    day = in.digits(1, 2);
  }
  in.fail_unless(month >= 1 && month <= 12 && year >= 1);
  in.fail_unless(in.ok() && day >= 1 && day <= days_in(year, month));
  int hour = 0, minute = 0, second = 0;
  double fraction = 0;
  if (in.take(" T")) {
    hour = in.digits(1, 2);
    in.expect(":");
    minute = in.digits(2, 2);
    if (in.take(":")) second = in.digits(2, 2);
    if (in.take(".,")) fraction = in.fraction();
    in.take(" ");
    if (in.rest() == "AM" || in.rest() == "PM") {
      in.fail_unless(hour >= 1 && hour <= 12);
      hour = hour % 12 + (in.rest() == "PM" ? 12 : 0);
    } else {
      in.fail_unless(in.rest().empty() || in.rest() == "Z");
    }
  } else {
    in.fail_unless(in.rest().empty());
  }
  in.fail_unless(hour < 24 && minute < 60 && second < 61);
  if (!in.ok()) return std::nan("");
  return static_cast<double>(((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) + fraction;
}

std::string CsvTimes::fault_of(const Reading& reading, double time, std::string_view text,
                               const std::string& where) const {
  if (std::isnan(time)) {
    return fmt::format(
        "{}: the time stamp is '{}'; it must be like 28/12/2015 10:00:00 AM, 2015-12-28 10:00:00, or seconds", where,
        shown_field(text));
  }
  if (reading.times.empty() || time >= reading.times.back()) return "";
  return fmt::format("{}: the time stamp '{}' lies before that of the row above; rows must be in order of time", where,
                     shown_field(text));
}

void CsvTimes::add(std::string_view text, const std::string& where) {
  const std::array<double, 2> times = {parse_time(text, DateOrder::day_first),
                                       parse_time(text, DateOrder::month_first)};
  std::string last;
  for (std::size_t i = 0; i < readings_.size(); ++i) {
    Reading& reading = readings_[i];
    if (!reading.fault.empty()) continue;
    reading.fault = last = fault_of(reading, times[i], text, where);
    reading.times.push_back(times[i]);
  }
  const bool possible = readings_[0].fault.empty() || readings_[1].fault.empty();
  require(possible, ErrorKind::input, "{}{}", last,
          readings_[0].fault == readings_[1].fault
              ? ""
              : " (other rows rule out that " + std::string(readings_[0].fault == last ? "the month" : "the day") +
                    " comes first)");
  if (ambiguous_.empty() && times[0] != times[1] && !std::isnan(times[0]) && !std::isnan(times[1])) {
    ambiguous_ = shown_field(text);
    ambiguous_where_ = where;
  }
}

std::vector<std::int64_t> CsvTimes::gaps() const {
  const std::vector<std::int64_t> day_first = gaps_in(readings_[0].times), month_first = gaps_in(readings_[1].times);
  if (!readings_[0].fault.empty()) return month_first;
  require(
      !readings_[1].fault.empty() || day_first == month_first, ErrorKind::input,
      "{}: the time stamp is '{}': nothing in the file tells whether the day or the month comes first, and where time "
      "was left out depends on it; write dates as 2015-12-28",
      ambiguous_where_, ambiguous_);
  return day_first;
}

}  // namespace qnudge
