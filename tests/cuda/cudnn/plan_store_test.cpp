// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "cuda/cudnn/plan_store.hpp"
#include "qnudge/core/files.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::cuda {
namespace {

using qnudge::test::contents;
using qnudge::test::TemporaryFolder;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(PlanStore, KeepsPlansByDeviceAndVersion) {
  const TemporaryFolder folder;
  {
    PlanStore store(folder / "new/folder", "cuDNN 9.19.0 H200");
    EXPECT_EQ(store.find("a"), std::nullopt);
    store.add("a", "plan a");
    store.add("b", "plan \"b\"\n");
    store.drop("c");
  }
  const PlanStore again(folder / "new/folder", "cuDNN 9.19.0 H200");
  EXPECT_THAT(again.note(), IsEmpty());
  EXPECT_EQ(again.find("a"), "plan a");
  EXPECT_EQ(again.find("b"), "plan \"b\"\n");
  const PlanStore other(folder / "new/folder", "cuDNN 9.20.0 H200");
  EXPECT_EQ(other.find("a"), std::nullopt);
  EXPECT_NE(other.path(), again.path());
}

TEST(PlanStore, KeepsPlansOfAProgramThatIsKilled) {
  const TemporaryFolder folder;
  PlanStore store(folder / "x", "id");  // as good as killed: it ends behind all that is looked at
  store.add("a", "plan a");
  EXPECT_EQ(PlanStore(folder / "x", "id").find("a"), "plan a");
  store.add("b", "plan b");
  std::this_thread::sleep_for(std::chrono::milliseconds(1050));
  store.add("c", "plan c");
  EXPECT_EQ(PlanStore(folder / "x", "id").find("b"), "plan b");
  EXPECT_EQ(PlanStore(folder / "x", "id").find("c"), "plan c");
}

TEST(PlanStore, DroppedPlansStayAway) {
  const TemporaryFolder folder;
  { PlanStore(folder / "x", "id").add("a", "plan"); }
  {
    PlanStore store(folder / "x", "id");
    EXPECT_EQ(store.find("a"), "plan");
    store.drop("a");
  }
  EXPECT_EQ(PlanStore(folder / "x", "id").find("a"), std::nullopt);
}

TEST(PlanStore, DamagedAtAnyByteIsReplacedWithANote) {
  const TemporaryFolder folder;
  std::filesystem::path path;
  {
    PlanStore store(folder / "x", "id");
    store.add("a", "plan a");
    path = store.path();
  }
  const std::string whole = contents(path);
  int noted = 0;
  for (std::size_t cut = 0; cut < whole.size() - 2; ++cut) {
    write_file_atomically(path, whole.substr(0, cut));
    PlanStore store(folder / "x", "id");
    EXPECT_FALSE(store.find("a").has_value()) << cut;
    EXPECT_THAT(store.note(), HasSubstr("plans are made anew")) << cut;
    ++noted;
  }
  EXPECT_GT(noted, 20);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x11);
    write_file_atomically(path, bytes);
    // A flip inside a plan's text is cuDNN's to refuse; anywhere else the file is replaced.
    const PlanStore store(folder / "x", "id");
    if (store.note().empty()) {
      EXPECT_LE(store.find("a").value_or("").size(), 6u) << at;
    }
  }
  for (const char* other : {R"({"format":2,"identity":"another","plans":{"a":"x"}})",
                            R"({"format":1,"identity":"id","plans":{"a":"x"}})"}) {
    write_file_atomically(path, std::string(other));
    const PlanStore store(folder / "x", "id");
    EXPECT_THAT(store.note(), HasSubstr("another version")) << other;
    EXPECT_EQ(store.find("a"), std::nullopt) << other;
  }
}

TEST(PlanStore, WithoutAFolderOrOneThatCannotBeWrittenNothingBreaks) {
  PlanStore none({}, "id");
  none.add("a", "plan");
  EXPECT_EQ(none.find("a"), std::nullopt);
  none.save();
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", std::string("not a folder"));
  PlanStore store(folder / "file", "id");
  store.add("a", "plan");
  store.save();
  EXPECT_EQ(contents(folder / "file"), "not a folder");
}

TEST(PlanStore, FolderFollowsTheEnvironment) {
  const auto with = [](const char* own, const char* xdg, const char* home) {
    for (const auto& [name, value] : {std::pair{"QNUDGE_PLAN_CACHE", own}, {"XDG_CACHE_HOME", xdg}, {"HOME", home}}) {
      value != nullptr ? setenv(name, value, 1) : unsetenv(name);
    }
    return plan_store_folder().string();
  };
  const std::string home = std::getenv("HOME") != nullptr ? std::getenv("HOME") : "";
  EXPECT_EQ(with("/own", "/xdg", "/home/me"), "/own");
  EXPECT_EQ(with("off", "/xdg", "/home/me"), "");
  EXPECT_EQ(with(nullptr, "/xdg", "/home/me"), "/xdg/qnudge");
  EXPECT_EQ(with(nullptr, nullptr, "/home/me"), "/home/me/.cache/qnudge");
  EXPECT_EQ(with(nullptr, nullptr, nullptr), "");
  if (!home.empty()) setenv("HOME", home.c_str(), 1);
}

}  // namespace
}  // namespace qnudge::cuda
