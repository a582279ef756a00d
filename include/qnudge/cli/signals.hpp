// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include <optional>
#include <utility>
#include <vector>

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

}  // namespace qnudge
