// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// The number that a text with a decimal point is; none for anything else, infinities and NaN among them.
std::optional<double> plain_number(std::string_view text);

/// The numbers of one file, whose point or comma may mark decimals or set thousands apart: "1,000" is one or a
/// thousand. Which of them a file uses is told from all its values: "2,5" and "1,000,000" leave no doubt, nor does
/// "1,000" in a column that also holds numbers below 1000 without a mark. Commas of files that are separated by
/// semicolons are decimal, points without a sign of another use are decimal.
class CsvNumbers {
 public:
  /// `columns` names those that `read` is called for; `delimiter` is the file's.
  CsvNumbers(std::vector<std::string> columns, char delimiter);

  /// A value of column `column`; `where` is "FILE:LINE". What an undecided mark leaves open is settled by `finish`.
  /// Throws Error(kind input) for what is no finite number, and for a mark that contradicts one above it.
  double read(std::string_view field, std::size_t column, const std::string& where);

  /// Settles `values`, all that `read` gave, in that order. Throws Error(kind input) naming line and column of the
  /// first value that may be two numbers.
  void finish(std::vector<double>& values);

 private:
  enum class Mark { unknown, point, comma };
  struct Column {
    std::string name;
    bool small_integers = false, large_integers = false;  ///< without a mark: 1 to 999, and larger ones
    bool grouped = false;                                 ///< has a value like "1,000"
  };

  [[noreturn]] void refuse(std::string_view field, std::size_t column, const std::string& where) const;
  void decide(Mark decimal, std::string_view field, std::size_t column, const std::string& where);
  double undecided(std::string_view field, Mark mark, std::size_t column, const std::string& where);
  bool has_column_of_thousands() const;

  std::vector<Column> columns_;
  const char delimiter_;
  Mark decimal_ = Mark::unknown;
  std::string decided_by_;
  std::vector<std::size_t> points_, commas_;              ///< undecided ones, read as decimal: among all values
  std::string first_comma_, first_column_, first_where_;  ///< of commas_
  std::size_t count_ = 0;
};

}  // namespace qnudge
