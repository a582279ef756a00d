// SPDX-License-Identifier: MIT
#include "qnudge/core/printable.hpp"

#include <gtest/gtest.h>

namespace qnudge {
namespace {

TEST(Cleaned, KeepsTextOfAnyLanguage) {
  for (const char* text : {"conv1/weights", "\u00e4\u00f6\u00fc \u4e2d\u6587 \U0001f600", "a b~"})
    EXPECT_EQ(cleaned(text), text);
}

TEST(Cleaned, TakesOutWhatMovesHidesOrReordersText) {
  EXPECT_EQ(cleaned("z\033[31mRED\033]0;pwn\007\nx\tm\x7f"), "z?[31mRED?]0;pwn??x?m?");
  // C1 controls, separators of lines and paragraphs, overrides and isolates of direction, invisible characters.
  for (const char* hidden : {"\u0085", "\u009b", "\u00ad", "\u200b", "\u200e", "\u2028", "\u2029", "\u202a", "\u202e",
                             "\u2066", "\u2069", "\ufeff", "\U000e0041"}) {
    EXPECT_EQ(cleaned(std::string("a") + hidden + "b"), "a?b");
  }
}

TEST(Cleaned, EveryByteThatIsNoUtf8IsAQuestionMark) {
  EXPECT_EQ(cleaned("\xff\xc0\x80\xed\xa0\x80\xe2\x82"), "????????");
}

TEST(Printable, CutsLongNames) {
  EXPECT_EQ(printable(std::string(600, 'n')), std::string(512, 'n') + "...");
  EXPECT_EQ(cleaned(std::string(600, 'n')).size(), 600u);
}

TEST(FirstColumns, NeverCutsWithinACharacter) {
  EXPECT_EQ(first_columns("a\u00e4\u4e2db", 3), "a\u00e4\u4e2d");
  EXPECT_EQ(first_columns("ab", 5), "ab");
  EXPECT_EQ(first_columns("ab", 0), "");
}

}  // namespace
}  // namespace qnudge
