// SPDX-License-Identifier: MIT
#pragma once

#include <signal.h>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// While it lives, SIGINT and SIGTERM set a stop flag and are counted instead of ending the process. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  StopFlag& flag();
  int received() const;

 private:
  struct sigaction old_interrupt_ {
  }, old_terminate_{};
};

}  // namespace qnudge
