// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace qnudge {

/// Sets `timed_out`, then `stop`, when a run that has used `earlier` seconds before has used `limit` in all; no limit
/// if 0.
class Timer {
 public:
  Timer(double limit, double earlier, std::atomic<bool>& timed_out, std::atomic<bool>& stop) {
    if (limit <= 0) return;
    const std::chrono::duration<double> left(limit > earlier ? limit - earlier : 0.0);
    thread_ = std::jthread([this, left, &timed_out, &stop](std::stop_token finished) {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, finished, left, [] { return false; });
      if (finished.stop_requested()) return;
      timed_out = true;
      stop = true;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last: joined before what it uses goes
};

}  // namespace qnudge
