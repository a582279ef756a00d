// SPDX-License-Identifier: MIT
#include "cuda/cudnn/plan_workers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "fake_cudnn.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

class Workers : public testing::Test {
 protected:
  PlanWorkers workers(std::size_t threads) {
    return PlanWorkers(
        [this] {
          ++made_;
          return std::make_unique<PlanTarget>(fake_.api());
        },
        [this] { ++entered_; }, threads);
  }
  const test::FakeCudnn fake_;
  std::atomic<int> made_{0}, entered_{0};
};

TEST_F(Workers, DoEverythingOnceWithATargetPerThread) {
  PlanWorkers pool = workers(4);
  std::mutex mutex;
  std::map<std::thread::id, std::set<const PlanTarget*>> targets;
  std::vector<std::atomic<int>> done(100);
  pool.for_each(done.size(), [&](std::size_t i, const PlanTarget& target) {
    ++done[i];
    const std::lock_guard lock(mutex);
    targets[std::this_thread::get_id()].insert(&target);
  });
  for (const std::atomic<int>& count : done) EXPECT_EQ(count, 1);
  std::set<const PlanTarget*> all;
  for (const auto& [thread, own] : targets) {
    EXPECT_EQ(own.size(), 1u);
    all.insert(own.begin(), own.end());
  }
  EXPECT_EQ(all.size(), targets.size()) << "two threads shared a target";
  EXPECT_EQ(entered_, 4);
  pool.for_each(0, [](std::size_t, const PlanTarget&) { FAIL(); });
  pool.for_each(1, [](std::size_t, const PlanTarget&) {});
  EXPECT_EQ(entered_, 5) << "no more threads than there is work";
  EXPECT_LE(made_, 4) << "targets are kept";
}

TEST_F(Workers, RunSideBySide) {
  std::atomic<int> waiting{0};
  workers(3).for_each(3, [&](std::size_t, const PlanTarget&) {
    ++waiting;
    while (waiting < 3) std::this_thread::yield();  // for ever, if one waited for another to end
  });
  EXPECT_EQ(waiting, 3);
}

TEST_F(Workers, FinishAllOthersWhereSomeFail) {
  for (const std::size_t threads : {std::size_t{1}, std::size_t{4}}) {
    std::atomic<int> done{0};
    try {
      workers(threads).for_each(50, [&](std::size_t i, const PlanTarget&) {
        require(i != 31 && i != 7, ErrorKind::device, "plan {} fails", i);
        ++done;
      });
      FAIL() << "no error";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "plan 7 fails") << "the first, whichever thread was faster";
    }
    EXPECT_EQ(done, 48);
  }
}

TEST_F(Workers, TellWhyThereIsNoTarget) {
  PlanWorkers pool([]() -> std::unique_ptr<PlanTarget> { fail(ErrorKind::device, "no handle"); }, {}, 2);
  EXPECT_THROW(pool.for_each(3, [](std::size_t, const PlanTarget&) {}), Error);
}

}  // namespace
}  // namespace qnudge::cuda
