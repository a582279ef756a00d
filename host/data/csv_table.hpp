// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// Lines of a CSV file, one after the other. Throws Error(kind input) with file and line for bytes that are not UTF-8
/// text and for quotes that do not close.
class CsvTable {
 public:
  explicit CsvTable(const std::filesystem::path& path);

  /// Splits the next line that is not empty into trimmed fields, quotes removed; they live as long as the table. False
  /// at the end.
  bool next(std::vector<std::string_view>& fields);
  void rewind();

  /// The finite number in a field of the last line; `name` is its column for the message.
  double number(std::string_view field, std::string_view name) const;
  /// "FILE:LINE" of the last line.
  std::string where() const;
  std::int64_t line() const { return line_; }

 private:
  std::string_view unquoted(std::string_view field) const;

  std::string path_;
  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::int64_t line_ = 0;
  char delimiter_ = ',';
};

/// Seconds since some instant: "28/12/2015 10:00:00 AM", "2020-03-09 10:14:33", the same with T, fractions or Z, or a
/// plain number of seconds. NaN if it is none of these.
double parse_time(std::string_view text);

}  // namespace qnudge
