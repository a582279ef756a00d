// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <thread>

#include "qnudge/core/stop.hpp"

namespace qnudge {

/// Sets `halt` soon after `stop` is set, and, with `timed_out` before it, when a run that has used `earlier` seconds
/// before has used `limit` in all; no limit if 0.
class Timer {
 public:
  Timer(double limit, double earlier, const StopFlag& stop, std::atomic<bool>& timed_out, StopFlag& halt) {
    using Seconds = std::chrono::duration<double>;
    const auto begun = std::chrono::steady_clock::now();
    const Seconds left(limit > 0 ? limit - earlier : std::numeric_limits<double>::infinity());
    thread_ = std::jthread([this, begun, left, &stop, &timed_out, &halt](std::stop_token finished) {
      constexpr Seconds kLook(0.02);
      std::unique_lock lock(mutex_);
      while (!finished.stop_requested() && !halt) {
        const Seconds remaining = left - (std::chrono::steady_clock::now() - begun);
        if (remaining <= Seconds(0)) timed_out = true;
        if (stop || timed_out) halt = true;
        wake_.wait_for(lock, finished, std::min(kLook, remaining), [] { return false; });
      }
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace qnudge
