// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <time.h>
#include <unistd.h>

#include <chrono>

namespace qnudge::test {

/// What a stop may take.
constexpr std::chrono::seconds kStopAllowed{2};

/// Processor time that a process has used, all its threads together. Unlike the time on a clock it does not grow with
/// what else a machine does; of a child that has ended it can be read until it is waited for.
inline std::chrono::nanoseconds processor_time(pid_t process = ::getpid()) {
  clockid_t clock{};
  timespec used{};
  EXPECT_EQ(::clock_getcpuclockid(process, &clock), 0);
  EXPECT_EQ(::clock_gettime(clock, &used), 0);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace qnudge::test
