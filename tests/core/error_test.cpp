// SPDX-License-Identifier: MIT
#include "qnudge/core/error.hpp"

#include <gtest/gtest.h>

namespace qnudge {
namespace {

TEST(Error, CarriesKindAndSentence) {
  try {
    fail(ErrorKind::input, "{}: found {}", "a.onnx", 3);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_STREQ(error.what(), "a.onnx: found 3");
    return;
  }
  FAIL();
}

TEST(Error, RequireThrowsOnlyWhenFalse) {
  EXPECT_NO_THROW(require(true, ErrorKind::usage, "no"));
  EXPECT_THROW(require(false, ErrorKind::usage, "{} braces {{}}", 1), Error);
}

TEST(Error, KindsAreTheExitCodes) {
  EXPECT_EQ(static_cast<int>(ErrorKind::internal), 1);
  EXPECT_EQ(static_cast<int>(ErrorKind::usage), 2);
  EXPECT_EQ(static_cast<int>(ErrorKind::input), 3);
  EXPECT_EQ(static_cast<int>(ErrorKind::device), 4);
  EXPECT_EQ(static_cast<int>(ErrorKind::interrupted), 5);
}

}  // namespace
}  // namespace qnudge
