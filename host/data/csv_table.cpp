// SPDX-License-Identifier: MIT
#include "csv_table.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "image_set.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == text.npos ? std::string_view{} : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

/// Bytes that the UTF-8 sequence at the beginning of `text` has; 0 if it is none, or a control character.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 ? (first != 0x7f ? 1 : 0) : (first == '\t' || first == '\r' ? 1 : 0);
  const std::size_t length =
      first >= 0xc2 && first < 0xe0 ? 2 : (first >= 0xe0 && first < 0xf0 ? 3 : (first >= 0xf0 && first < 0xf5 ? 4 : 0));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || beyond ? 0 : length;
}

std::string shown(std::string_view field) {
  return std::string(field.substr(0, 40)) + (field.size() > 40 ? "..." : "");
}

}  // namespace

CsvTable::CsvTable(const std::filesystem::path& path) : path_(path.string()) {
  require_regular_file(path);
  bytes_ = read_file(path);
  rewind();
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  const std::string_view first = text.substr(at_, text.find('\n', at_) - at_);
  delimiter_ = first.find(';') != first.npos ? ';' : (first.find('\t') != first.npos ? '\t' : ',');
}

void CsvTable::rewind() {
  const bool marked = bytes_.size() >= 3 && bytes_[0] == 0xef && bytes_[1] == 0xbb && bytes_[2] == 0xbf;
  at_ = marked ? 3 : 0;
  line_ = 0;
}

std::string CsvTable::where() const {
  return fmt::format("{}:{}", path_, line_);
}

std::string_view CsvTable::unquoted(std::string_view field) const {
  field = trimmed(field);
  if (field.empty() || field.front() != '"') return field;
  const bool closed = field.size() > 1 && field.find('"', 1) == field.size() - 1;
  require(closed, ErrorKind::input, "{}: the field {} begins with a quote that does not close it", where(),
          shown(field));
  return trimmed(field.substr(1, field.size() - 2));
}

bool CsvTable::next(std::vector<std::string_view>& fields) {
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  std::string_view line;
  while (line.empty()) {
    if (at_ >= text.size()) return false;
    const std::size_t end = std::min(text.find('\n', at_), text.size());
    line = text.substr(at_, end - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at_ = end + 1;
    ++line_;
  }
  for (std::size_t i = 0; i < line.size();) {
    const std::size_t length = sequence_length(line.substr(i));
    require(length > 0, ErrorKind::input,
            "{}: byte {} of the line (0x{:02x}) is not UTF-8 text; save the file as UTF-8", where(), i + 1,
            static_cast<unsigned char>(line[i]));
    i += length;
  }
  fields.clear();
  bool quoted = false;
  std::size_t from = 0;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    if (i < line.size() && line[i] == '"') quoted = !quoted;
    if (i < line.size() && (quoted || line[i] != delimiter_)) continue;
    fields.push_back(unquoted(line.substr(from, i - from)));
    from = i + 1;
  }
  return true;
}

double CsvTable::number(std::string_view field, std::string_view name) const {
  require(!field.empty(), ErrorKind::input, "{}: the value of '{}' is missing; fill it in or take the row out", where(),
          name);
  const bool plus = field.size() > 1 && field[0] == '+' && field[1] != '-';
  std::string text(field.substr(plus ? 1 : 0));
  if (delimiter_ != ',' || field.find('.') == field.npos) std::replace(text.begin(), text.end(), ',', '.');
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc{} && end == text.data() + text.size();
  require(whole && std::isfinite(value), ErrorKind::input, "{}: the value of '{}' is '{}'; it must be a finite number",
          where(), name, shown(field));
  return value;
}

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

}  // namespace

double parse_time(std::string_view text) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc{} && end == text.data() + text.size()) return std::isfinite(seconds) ? seconds : std::nan("");

  TimeReader in(text);
  int year = in.digits(1, 4), month = 0, day = 0;
  if (in.take("/.")) {  // day first
    day = year;
    month = in.digits(1, 2);
    in.expect("/.");
    year = in.digits(4, 4);
  } else {
    in.expect("-");
    month = in.digits(1, 2);
    in.expect("-");
    day = in.digits(1, 2);
  }
  in.fail_unless(month >= 1 && month <= 12 && day >= 1 && day <= 31 && year >= 1);
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

}  // namespace qnudge
