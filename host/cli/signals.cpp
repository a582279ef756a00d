// SPDX-License-Identifier: MIT
#include "qnudge/cli/signals.hpp"

#include <atomic>

namespace qnudge {
namespace {

// A handler can reach nothing but globals, and may touch only lock-free atomics.
StopFlag stop_flag{false};
std::atomic<int> signals_received{0};
static_assert(StopFlag::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void on_stop_signal(int) {
  signals_received.fetch_add(1, std::memory_order_relaxed);
  stop_flag.store(true);
}

}  // namespace

StopSignals::StopSignals() {
  stop_flag = false;
  signals_received = 0;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before {};
    ::sigaction(signal, nullptr, &before);
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    ::sigaction(signal, &action, nullptr);
    before_.emplace_back(signal, before);
  }
  scope_.emplace(&stop_flag);
}

StopSignals::~StopSignals() {
  for (const auto& [signal, before] : before_) ::sigaction(signal, &before, nullptr);
}

StopFlag& StopSignals::flag() {
  return stop_flag;
}

int StopSignals::received() const {
  return signals_received.load();
}

}  // namespace qnudge
