// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <regex>
#include <set>

#include "structure/source_tree.hpp"

namespace qnudge::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What names a primitive, and its room.
const std::map<std::string, std::string>& rooms() {
  static const std::map<std::string, std::string> all = {{"FloatInput", "input"},
                                                         {"IntInput", "input"},
                                                         {"FloatLayer", "layer"},
                                                         {"FloatBatchNorm", "layer"},
                                                         {"IntLayer", "layer"},
                                                         {"FloatTable", "table"},
                                                         {"IntTable", "table"},
                                                         {"FloatCombine", "combine"},
                                                         {"IntCombine", "combine"},
                                                         {"FloatWindow", "window"},
                                                         {"IntWindow", "window"},
                                                         {"WindowKind", "window"},
                                                         {"FloatMove", "move"},
                                                         {"IntMove", "move"},
                                                         {"FloatMix", "mix"},
                                                         {"IntMix", "mix"},
                                                         {"FloatProduct", "product"},
                                                         {"IntProduct", "product"},
                                                         {"FloatNormalise", "normalise"},
                                                         {"IntNormalise", "normalise"},
                                                         {"NormaliseKind", "normalise"}};
  return all;
}

/// Where every primitive may be named: definitions, tables, importer.
bool names_all(const std::string& path) {
  static const std::regex places(
      "include/qnudge/(model/primitives|model/graph|quant/network)\\.hpp|"
      "(host/[a-z]+|cuda/engine)/(qdq_)?primitives\\.[ch]pp|host/model/(onnx_)?import[a-z_]*\\.[ch]pp");
  return std::regex_match(path, places);
}

/// "path:line: names FloatTable": what a file outside the room says of a primitive.
std::vector<std::string> strays(const SourceFile& file) {
  static const std::regex word("[A-Za-z_]+");
  const bool program = file.path.starts_with("include/") || file.path.starts_with("host/") ||
                       (file.path.starts_with("cuda/") && !file.path.starts_with("cuda/tools/"));
  std::vector<std::string> found;
  if (!program || names_all(file.path)) return found;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::string& line = file.lines[i];
    for (std::sregex_iterator it(line.begin(), line.end(), word), end; it != end; ++it) {
      const auto room = rooms().find(it->str());
      if (room == rooms().end() || file.path.starts_with("host/primitives/" + room->second + "/")) continue;
      found.push_back(fmt::format("{}:{}: names {}", file.path, i + 1, it->str()));
    }
  }
  return found;
}

TEST(Primitives, AreNamedInTheirRoomsTheImporterAndTheTablesOnly) {
  const std::vector<SourceFile> files = read_sources(QNUDGE_SOURCE_DIR);
  ASSERT_GT(files.size(), 50u) << "the tree was not found";
  std::vector<std::string> found;
  for (const SourceFile& file : files) {
    for (std::string& stray : strays(file)) found.push_back(std::move(stray));
  }
  EXPECT_THAT(found, IsEmpty());
}

TEST(Primitives, EveryRoomHasItsFacets) {
  std::map<std::string, std::set<std::string>> facets;
  for (const auto& [name, room] : rooms()) facets[room];
  for (const SourceFile& file : read_sources(QNUDGE_SOURCE_DIR)) {
    static const std::regex place("host/primitives/([a-z]+)/([a-z]+)\\.cpp");
    std::smatch match;
    if (std::regex_match(file.path, match, place)) facets[match[1]].insert(match[2]);
  }
  for (const auto& [room, has] : facets) {
    const bool given = room == "input";  // nothing computes it
    EXPECT_EQ(has, given ? (std::set<std::string>{"device", "model", "qdq", "quant"})
                         : (std::set<std::string>{"cpu", "device", "model", "qdq", "quant"}))
        << room;
  }
}

TEST(Primitives, StraysAreSeen) {
  const auto planted = [](const std::string& path) {
    return strays({.path = path, .text = {}, .lines = {"", "if (std::get_if<IntWindow>(&node.what)) {"}});
  };
  EXPECT_THAT(planted("host/cpu/tile_program.cpp"), ElementsAre(HasSubstr("host/cpu/tile_program.cpp:2: names IntW")));
  EXPECT_THAT(planted("host/primitives/move/cpu.cpp"), ElementsAre(HasSubstr("IntWindow")));
  EXPECT_THAT(planted("cuda/engine/engine.cpp"), ElementsAre(HasSubstr("IntWindow")));
  for (const char* path : {"host/primitives/window/device.cpp", "host/quant/primitives.cpp",
                           "host/model/import_pools.cpp", "cuda/engine/primitives.cpp", "tests/quant/lower_test.cpp"}) {
    EXPECT_THAT(planted(path), IsEmpty()) << path;
  }
}

}  // namespace
}  // namespace qnudge::structure
