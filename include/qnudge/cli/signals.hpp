// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {

/// While it lives, SIGINT, SIGTERM and, unless it is ignored as under nohup, SIGHUP set a stop flag, which this
/// thread's stop points look at, and are counted instead of ending the process. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  StopFlag& flag();
  int received() const;

 private:
  std::vector<std::pair<int, struct sigaction>> before_;
  std::optional<StopScope> scope_;
};

/// What `work` gives. Where it is interrupted, the Error says `sentence`: what is left, and how to go on.
template <class Work>
auto with_stop_sentence(std::string_view sentence, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    require(error.kind() != ErrorKind::interrupted, ErrorKind::interrupted, "{}", sentence);
    throw;
  }
}

/// Does the work of a command that keeps nothing before it ends; signals interrupt it with a sentence.
template <class Work>
auto until_stopped(const Work& work) {
  const StopSignals signals;
  return with_stop_sentence("interrupted; nothing is half written, the same command begins anew", work);
}

}  // namespace qnudge
