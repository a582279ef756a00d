// SPDX-License-Identifier: MIT
#include "structure/source_tree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string_view>

namespace qnudge::structure {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 11> kFolders = {"include", "host",    "cuda", "tests", "benchmarks", "configs",
                                                       "models",  "scripts", "docs", "cmake", ".ci"};
constexpr std::array<std::string_view, 15> kTextExtensions = {".hpp", ".cpp",  ".cuh", ".cu",   ".cmake",
                                                              ".sh",  ".py",   ".txt", ".json", ".jsonl",
                                                              ".md",  ".html", ".js",  ".css",  ".in"};
constexpr std::array<std::string_view, 8> kCodeExtensions = {".hpp",   ".cpp", ".cuh", ".cu",
                                                             ".cmake", ".sh",  ".py",  ".js"};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& values, std::string_view value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

bool is_text(const fs::path& path) {
  return contains(kTextExtensions, path.extension().string()) || path.parent_path().filename() == ".ci";
}

SourceFile read_source(const fs::path& path, const fs::path& root) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(fmt::format("{}: cannot be read", path.string()));
  SourceFile file{.path = path.lexically_relative(root).generic_string(),
                  .text = {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()},
                  .lines = {}};
  std::istringstream text(file.text);
  for (std::string line; std::getline(text, line);) file.lines.push_back(line);
  return file;
}

}  // namespace

std::vector<SourceFile> read_sources(const fs::path& root) {
  std::vector<SourceFile> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file() && is_text(entry.path())) files.push_back(read_source(entry.path(), root));
  }
  for (const std::string_view folder : kFolders) {
    if (!fs::is_directory(root / folder)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(root / folder)) {
      if (entry.is_regular_file() && is_text(entry.path())) files.push_back(read_source(entry.path(), root));
    }
  }
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  return files;
}

bool is_code(const SourceFile& file) {
  const fs::path path(file.path);
  return contains(kCodeExtensions, path.extension().string()) || path.filename() == "CMakeLists.txt" ||
         path.parent_path() == ".ci";
}

std::vector<Include> includes_of(const SourceFile& file) {
  static const std::regex pattern(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<Include> includes;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(file.lines[i], match, pattern)) continue;
    includes.push_back({.line = static_cast<int>(i) + 1, .target = match[2], .angled = match[1] == "<"});
  }
  return includes;
}

}  // namespace qnudge::structure
