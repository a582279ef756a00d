// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

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

}  // namespace qnudge::test
