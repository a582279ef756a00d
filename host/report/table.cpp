// SPDX-License-Identifier: MIT
#include "qnudge/report/table.hpp"

#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/core/printable.hpp"

namespace qnudge {
namespace {

/// Code points, so that names beyond ASCII stay aligned.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace

void TextTable::add(std::vector<std::string> cells) {
  require(!cells.empty() && cells.size() == columns_.size(), ErrorKind::internal,
          "table row with {} cells; the table has {} columns", cells.size(), columns_.size());
  for (std::string& cell : cells) cell = cleaned(cell);
  rows_.push_back(std::move(cells));
}

void TextTable::add_rule() {
  rows_.emplace_back();
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  std::size_t total = 0;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    std::size_t width = width_of(columns_[c].title);
    for (const auto& row : rows_) width = row.empty() ? width : std::max(width, width_of(row[c]));
    widths.push_back(width);
    total += width + (c > 0 ? 2 : 0);
  }
  std::string result;
  const auto append = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      const std::string& cell = cell_of(c);
      const std::string blanks(widths[c] - width_of(cell), ' ');
      line += c > 0 ? "  " : "";
      line += columns_[c].align == Align::left ? cell + blanks : blanks + cell;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + '\n';
  };
  const std::string rule = std::string(total, '-') + '\n';
  append([&](std::size_t c) -> const std::string& { return columns_[c].title; });
  result += rule;
  for (const auto& row : rows_) {
    if (row.empty()) {
      result += rule;
    } else {
      append([&](std::size_t c) -> const std::string& { return row[c]; });
    }
  }
  return result;
}

}  // namespace qnudge
