// SPDX-License-Identifier: MIT
#include "qnudge/core/printable.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace qnudge {
namespace {

constexpr std::size_t kLongest = 512;

struct Character {
  std::size_t bytes = 0;  ///< 0: no well-formed UTF-8
  std::uint32_t point = 0;
};

/// The character at the start of `text`.
Character first_character(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {1, lead};
  const std::size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0 || length > text.size()) return {};
  std::uint32_t point = lead & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0) != 0x80) return {};
    point = point << 6 | (byte & 0x3Fu);
  }
  const std::uint32_t smallest = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  const bool surrogate = point >= 0xD800 && point < 0xE000;
  return point < smallest || point > 0x10FFFF || surrogate ? Character{} : Character{length, point};
}

/// Moves, hides or reorders what stands beside it.
bool disturbs(std::uint32_t point) {
  constexpr struct {
    std::uint32_t first, last;
  } kRanges[] = {{0x00, 0x1F},     {0x7F, 0x9F},     {0xAD, 0xAD},      {0x61C, 0x61C},
                 {0x180E, 0x180E}, {0x200B, 0x200F}, {0x2028, 0x202E},  {0x2060, 0x206F},
                 {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFB}, {0xE0000, 0xE007F}};
  return std::any_of(std::begin(kRanges), std::end(kRanges),
                     [&](const auto& range) { return point >= range.first && point <= range.last; });
}

std::string cleaned(std::string_view text, std::size_t longest) {
  std::string clean;
  while (!text.empty()) {
    if (clean.size() >= longest) return clean + "...";
    const Character c = first_character(text);
    clean += c.bytes == 0 || disturbs(c.point) ? std::string_view("?") : text.substr(0, c.bytes);
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return clean;
}

}  // namespace

std::string cleaned(std::string_view text) {
  return cleaned(text, static_cast<std::size_t>(-1));
}

std::string printable(std::string_view text) {
  return cleaned(text, kLongest);
}

std::string_view first_columns(std::string_view text, std::size_t columns) {
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const bool begins = (static_cast<unsigned char>(text[end]) & 0xC0) != 0x80;
    if (begins && columns-- == 0) break;
  }
  return text.substr(0, end);
}

}  // namespace qnudge
