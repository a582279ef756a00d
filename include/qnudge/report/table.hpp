// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace qnudge {

/// Rows of text in aligned columns, two spaces apart, a rule under the header.
class TextTable {
 public:
  enum class Align { left, right };
  struct Column {
    std::string title;
    Align align = Align::right;
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell per column, else Error(kind internal); see `cleaned` for what becomes of names.
  void add(std::vector<std::string> cells);
  void add_rule();
  /// Lines end in '\n', without trailing blanks.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;  ///< an empty row is a rule
};

}  // namespace qnudge
