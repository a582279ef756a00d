// SPDX-License-Identifier: MIT
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>

#include "qnudge/cli/cli.hpp"

namespace {

/// True if whoever read stdout has gone away, as `head` does: nothing to complain about.
bool reader_left() {
  struct pollfd stream {
    STDOUT_FILENO, POLLOUT, 0
  };
  return ::poll(&stream, 1, 0) == 1 && (stream.revents & POLLERR) != 0;
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file beyond the limit is an error of the write, with a sentence, like a full disk
  const int code = qnudge::run_cli(argc, argv, std::cout, std::cerr);
  if (!std::cout.flush() && !reader_left() && code == 0) {
    std::cerr << "qnudge: stdout: cannot be written (disk full?); the result is incomplete there\n";
    return 2;
  }
  return code;
}
