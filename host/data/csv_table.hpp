// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// Lines of a CSV file, one after the other. Throws Error(kind input) with file and line for bytes that are not UTF-8
/// text, for line ends that are CR alone and for quotes that do not close on their line.
class CsvTable {
 public:
  explicit CsvTable(const std::filesystem::path& path);

  /// Splits the next line that is not empty into trimmed fields, quotes removed, two of them within for one; they live
  /// as long as the table. False at the end.
  bool next(std::vector<std::string_view>& fields);
  void rewind();

  /// "FILE:LINE" of the last line.
  std::string where() const;
  char delimiter() const { return delimiter_; }  ///< comma, semicolon or tab

 private:
  std::string_view unquoted(std::string_view field);

  std::string path_;
  std::vector<std::uint8_t> bytes_;
  std::size_t at_ = 0;
  std::int64_t line_ = 0;
  char delimiter_ = ',';
  std::deque<std::string> rewritten_;  ///< fields that stand otherwise in the file
};

/// A field as it may stand in a sentence: not too long.
std::string shown_field(std::string_view field);

}  // namespace qnudge
