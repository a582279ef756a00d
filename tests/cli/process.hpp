// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "support/processor_time.hpp"

namespace qnudge::test {

/// The program itself as a child, with what it says on stderr in `log`; its process id.
inline pid_t start(std::vector<std::string> arguments, const std::string& log = "/dev/null") {
  arguments.insert(arguments.begin(), QNUDGE_BINARY);
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int null = ::open("/dev/null", O_RDWR), said = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  for (int fd : {0, 1}) ::dup2(null, fd);
  ::dup2(said, 2);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

/// How often a test of kills kills: 20 times, or QNUDGE_KILLS (scripts/kill_test.sh).
inline int wanted_kills() {
  const char* count = std::getenv("QNUDGE_KILLS");
  return count == nullptr ? 20 : std::max(1, std::atoi(count));
}

/// Exit code, or -1 if a signal ended it.
inline int wait_for(pid_t child) {
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// Waits until the child has a handler for `signal`, or has ended.
inline void wait_until_caught(pid_t child, int signal) {
  for (int i = 0; i < 5000; ++i) {
    std::ifstream status(fmt::format("/proc/{}/status", child));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:") && line.find('Z') != std::string::npos) return;
      if (line.starts_with("SigCgt:") && (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ADD_FAILURE() << "signal " << signal << " has no handler";
}

/// Sends the signal, waits for the end and expects it within two seconds of the child's processor time: what else the
/// machine does is not the child's fault. Exit code, or -1 if the signal ended it.
inline int code_after_signal(pid_t child, int signal) {
  constexpr std::chrono::seconds kHangs{60};
  const auto asked = std::chrono::steady_clock::now();
  const auto used = processor_time(child);
  ::kill(child, signal);
  siginfo_t ended{};
  EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT), 0);
  EXPECT_LT(processor_time(child) - used, kStopAllowed);
  EXPECT_LT(std::chrono::steady_clock::now() - asked, kHangs);
  return wait_for(child);
}

}  // namespace qnudge::test
