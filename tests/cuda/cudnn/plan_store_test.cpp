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

StoredPlan plan(const std::string& json) {
  return {json, "engine 2", false};
}

TEST(PlanStore, KeepsPlansByDeviceAndVersion) {
  const TemporaryFolder folder;
  {
    PlanStore store(folder / "new/folder", "cuDNN 9.19.0 H200");
    EXPECT_EQ(store.find("a"), std::nullopt);
    store.add("a", {"plan a", "engine 7, knob 24 at 3", true});
    store.add("b", plan("plan \"b\"\n"));
    store.drop("c");
  }
  const PlanStore again(folder / "new/folder", "cuDNN 9.19.0 H200");
  EXPECT_THAT(again.note(), IsEmpty());
  EXPECT_EQ(again.find("a"), (StoredPlan{"plan a", "engine 7, knob 24 at 3", true}));
  EXPECT_EQ(again.find("b"), plan("plan \"b\"\n"));
  const PlanStore other(folder / "new/folder", "cuDNN 9.20.0 H200");
  EXPECT_EQ(other.find("a"), std::nullopt);
  EXPECT_NE(other.path(), again.path());
}

TEST(PlanStore, KeepsPlansOfAProgramThatIsKilled) {
  const TemporaryFolder folder;
  PlanStore store(folder / "x", "id");  // as good as killed: it ends behind all that is looked at
  store.add("a", plan("plan a"));
  EXPECT_EQ(PlanStore(folder / "x", "id").find("a"), plan("plan a"));
  store.add("b", plan("plan b"));
  for (int tenth = 0; tenth < 600 && !PlanStore(folder / "x", "id").find("c"); ++tenth) {  // a busy machine saves late
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    store.add("c", plan("plan c"));
  }
  EXPECT_EQ(PlanStore(folder / "x", "id").find("b"), plan("plan b"));
  EXPECT_EQ(PlanStore(folder / "x", "id").find("c"), plan("plan c"));
}

TEST(PlanStore, DroppedPlansStayAway) {
  const TemporaryFolder folder;
  { PlanStore(folder / "x", "id").add("a", plan("plan")); }
  {
    PlanStore store(folder / "x", "id");
    EXPECT_EQ(store.find("a"), plan("plan"));
    store.drop("a");
  }
  EXPECT_EQ(PlanStore(folder / "x", "id").find("a"), std::nullopt);
}

TEST(PlanStore, DamagedAtAnyByteIsReplacedWithANote) {
  const TemporaryFolder folder;
  std::filesystem::path path;
  {
    PlanStore store(folder / "x", "id");
    store.add("a", plan("plan a"));
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
      EXPECT_LE(store.find("a").value_or(StoredPlan{}).json.size(), 6u) << at;
    }
  }
  for (const char* other :
       {R"({"format":3,"identity":"another","plans":{}})", R"({"format":2,"identity":"id","plans":{"a":"x"}})"}) {
    write_file_atomically(path, std::string(other));
    const PlanStore store(folder / "x", "id");
    EXPECT_THAT(store.note(), HasSubstr("another version")) << other;
    EXPECT_EQ(store.find("a"), std::nullopt) << other;
  }
}

/// Tests run side by side, each in a process of its own, and share a folder.
TEST(PlanStore, ProcessesAddToOneFile) {
  const TemporaryFolder folder;
  PlanStore first(folder / "x", "id");
  {
    PlanStore second(folder / "x", "id");
    second.add("b", plan("b of the second"));
    second.add("c", plan("c"));
    second.add("e", plan("e"));
  }
  first.add("a", plan("a"));
  first.add("b", plan("b of the first"));
  first.drop("c");
  first.save();
  const PlanStore third(folder / "x", "id");
  EXPECT_EQ(third.find("a"), plan("a"));
  EXPECT_EQ(third.find("b"), plan("b of the first"));
  EXPECT_EQ(third.find("e"), plan("e")) << "of the second alone";
  EXPECT_EQ(third.find("c"), std::nullopt) << "what one has found out to be stale is stale";
  write_file_atomically(first.path(), std::string("{\"format\": 3, \"ident"));
  first.add("d", plan("d"));
  first.save();
  EXPECT_EQ(PlanStore(folder / "x", "id").find("a"), plan("a")) << "another process left a damaged file";
}

TEST(PlanStore, IsReadOnceAProcess) {
  const TemporaryFolder folder;
  const auto store = shared_plan_store(folder / "x", "id");
  store->add("a", plan("a"));
  EXPECT_EQ(shared_plan_store(folder / "x", "id"), store);
  EXPECT_NE(shared_plan_store(folder / "x", "another"), store);
  EXPECT_NE(shared_plan_store(folder / "y", "id"), store);
}

TEST(PlanStore, WithoutAFolderOrOneThatCannotBeWrittenNothingBreaks) {
  PlanStore none({}, "id");
  none.add("a", plan("plan"));
  EXPECT_EQ(none.find("a"), std::nullopt);
  none.save();
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", std::string("not a folder"));
  PlanStore store(folder / "file", "id");
  store.add("a", plan("plan"));
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
