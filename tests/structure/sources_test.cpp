// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "structure/source_tree.hpp"

namespace qnudge::structure {
namespace {

using ::testing::IsEmpty;

constexpr std::size_t kLongestFile = 450;

/// Sentences about the first lines, the line ends and the length of one file; empty for a tidy one.
std::vector<std::string> untidy(const SourceFile& file) {
  std::vector<std::string> faults;
  const auto complain = [&](std::size_t line, const char* what) {
    faults.push_back(fmt::format("{}:{}: {}", file.path, line, what));
  };
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    if (line.ends_with(' ') || line.ends_with('\t') || line.ends_with('\r')) complain(i + 1, "trailing white space");
    if (is_code(file) && line.find('\t') != std::string::npos) complain(i + 1, "a tab");
  }
  if (!file.text.empty() && !file.text.ends_with('\n')) complain(file.lines.size(), "no newline at the end");
  if (file.text.ends_with("\n\n")) complain(file.lines.size(), "an empty line at the end");
  if (!is_code(file)) return faults;
  const bool script = !file.lines.empty() && file.lines.front().starts_with("#!");
  const std::size_t first = script ? 1 : 0;
  if (file.lines.size() <= first || file.lines[first].find("SPDX-License-Identifier: MIT") == std::string::npos) {
    complain(first + 1, "no SPDX line");
  }
  if (file.path.ends_with(".hpp") && file.text.find("#pragma once\n") == std::string::npos)
    complain(2, "no #pragma once");
  if (file.lines.size() > kLongestFile) complain(file.lines.size(), "too long: split it");
  return faults;
}

std::vector<std::string> untidy(const std::string& path, const std::string& text) {
  SourceFile file{.path = path, .text = text, .lines = {}};
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    file.lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return untidy(file);
}

TEST(Sources, AreTidy) {
  const std::vector<SourceFile> files = read_sources(QNUDGE_SOURCE_DIR);
  ASSERT_GT(files.size(), 50u) << "the tree was not found";
  std::vector<std::string> faults;
  for (const SourceFile& file : files) {
    for (std::string& fault : untidy(file)) faults.push_back(std::move(fault));
  }
  EXPECT_THAT(faults, IsEmpty());
}

/// Lines that read errno, or name its value: only the helper that takes it beside the call may.
std::vector<std::string> readers_of_errno(const SourceFile& file) {
  std::vector<std::string> faults;
  const bool program =
      file.path.starts_with("host/") || file.path.starts_with("include/") || file.path.starts_with("cuda/");
  if (!program || !is_code(file) || file.path == "include/qnudge/core/system_call.hpp") return faults;
  static const std::regex kReading(R"(\berrno\b|\bstrerror|\bperror\b)");
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string code = file.lines[i].substr(0, file.lines[i].find("//"));
    if (std::regex_search(code, kReading)) faults.push_back(fmt::format("{}:{}: {}", file.path, i + 1, code));
  }
  return faults;
}

TEST(Sources, ReasonsOfFailuresAreTakenAtTheCall) {
  std::vector<std::string> faults;
  for (const SourceFile& file : read_sources(QNUDGE_SOURCE_DIR)) {
    for (std::string& fault : readers_of_errno(file)) faults.push_back(std::move(fault));
  }
  EXPECT_THAT(faults, IsEmpty());
  EXPECT_EQ(readers_of_errno({.path = "host/a.cpp", .text = {}, .lines = {"f(std::strerror(errno));"}}).size(), 1u);
  EXPECT_EQ(readers_of_errno({.path = "host/a.cpp", .text = {}, .lines = {"f();  // errno"}}).size(), 0u);
}

TEST(Sources, FaultsAreSeen) {
  const std::string spdx = "// SPDX-License-Identifier: MIT\n";
  EXPECT_THAT(untidy("a.cpp", spdx + "int a;\n"), IsEmpty());
  EXPECT_THAT(untidy("a.sh", "#!/bin/sh\n# SPDX-License-Identifier: MIT\n"), IsEmpty());
  EXPECT_THAT(untidy("a.md", "text\n"), IsEmpty());
  EXPECT_EQ(untidy("a.cpp", "int a;\n").size(), 1u);
  EXPECT_EQ(untidy("a.cpp", "int a;\n" + spdx).size(), 1u);
  EXPECT_EQ(untidy("a.hpp", spdx).size(), 1u);
  EXPECT_EQ(untidy("a.cpp", spdx + "int a; \n").size(), 1u);
  EXPECT_EQ(untidy("a.cpp", spdx + "int\ta;\n").size(), 1u);
  EXPECT_EQ(untidy("a.cpp", spdx + "int a;\r\n").size(), 1u);
  EXPECT_EQ(untidy("a.md", "text").size(), 1u);
  EXPECT_EQ(untidy("a.json", "{}\n\n").size(), 1u);
  std::string lengthy = spdx;
  for (std::size_t i = 0; i < kLongestFile; ++i) lengthy += "\n;";
  EXPECT_EQ(untidy("a.cpp", lengthy + "\n").size(), 1u);
}

}  // namespace
}  // namespace qnudge::structure
