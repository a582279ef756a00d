// SPDX-License-Identifier: MIT
#include "csv_table.hpp"

#include <algorithm>
#include <array>

#include "image_set.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/stop.hpp"

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

/// Calls `visit` with the place of every character that stands outside quotes.
template <class Visit>
void for_each_unquoted(std::string_view text, const Visit& visit) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') quoted = !quoted;
    if (!quoted) visit(i);
  }
}

/// The one that parts most fields of the line of names; names in quotes may hold any.
char delimiter_of(std::string_view names) {
  constexpr std::array<char, 3> kDelimiters = {';', '\t', ','};
  std::array<int, 3> count{};
  for_each_unquoted(names, [&](std::size_t i) {
    for (std::size_t d = 0; d < kDelimiters.size(); ++d) count[d] += names[i] == kDelimiters[d];
  });
  const auto most = static_cast<std::size_t>(std::max_element(count.begin(), count.end()) - count.begin());
  return count[most] > 0 ? kDelimiters[most] : ',';
}

}  // namespace

std::string shown_field(std::string_view field) {
  return std::string(field.substr(0, 40)) + (field.size() > 40 ? "..." : "");
}

CsvTable::CsvTable(const std::filesystem::path& path) : path_(path.string()) {
  require_regular_file(path);
  bytes_ = read_file(path);
  rewind();
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  require(text.find('\n') != text.npos || trimmed(text).find('\r') == text.npos, ErrorKind::input,
          "{}: its line ends are CR alone; save it with LF or CR LF", path_);
  delimiter_ = delimiter_of(text.substr(at_, text.find('\n', at_) - at_));
}

void CsvTable::rewind() {
  const bool marked = bytes_.size() >= 3 && bytes_[0] == 0xef && bytes_[1] == 0xbb && bytes_[2] == 0xbf;
  at_ = marked ? 3 : 0;
  line_ = 0;
}

std::string CsvTable::where() const {
  return fmt::format("{}:{}", path_, line_);
}

std::string_view CsvTable::unquoted(std::string_view field) {
  field = trimmed(field);
  if (field.empty() || field.front() != '"') return field;
  std::string text;
  std::size_t at = 1;
  for (; at < field.size() && (field[at] != '"' || field.substr(at, 2) == "\"\""); ++at) {
    text += field[at];
    if (field[at] == '"') ++at;  // two of them in quotes stand for one
  }
  require(at + 1 == field.size(), ErrorKind::input, "{}: the field {} begins with a quote that does not close it",
          where(), shown_field(field));
  const bool doubled = text.size() + 2 < field.size();
  return trimmed(doubled ? std::string_view(rewritten_.emplace_back(std::move(text))) : field.substr(1, at - 1));
}

bool CsvTable::next(std::vector<std::string_view>& fields) {
  stop_point();
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
  require(line.find('\r') == line.npos, ErrorKind::input,
          "{}: has a CR within the line; save the file with the same line end, LF or CR LF, everywhere", where());
  fields.clear();
  std::size_t from = 0;
  for_each_unquoted(line, [&](std::size_t i) {
    if (line[i] != delimiter_) return;
    fields.push_back(unquoted(line.substr(from, i - from)));
    from = i + 1;
  });
  fields.push_back(unquoted(line.substr(from)));
  return true;
}

}  // namespace qnudge
