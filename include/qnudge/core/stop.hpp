// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>

namespace qnudge {

/// Set from anywhere (signal handler, clock, another thread) to ask for an end.
using StopFlag = std::atomic<bool>;

/// While it lives, `stop_point` on this thread looks at `flag`; at none, if nullptr. Scopes nest; the innermost counts.
/// A thread that works for another opens a scope with that one's `current()`.
class StopScope {
 public:
  explicit StopScope(const StopFlag* flag);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

  static const StopFlag* current();

 private:
  const StopFlag* const outer_;
};

/// Throws Error(kind interrupted) if this thread has been asked to stop. Everything that can take longer than a second
/// comes by here several times a second, at places where nothing is half done that somebody will look at.
void stop_point();

}  // namespace qnudge
