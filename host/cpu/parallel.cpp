// SPDX-License-Identifier: MIT
#include "parallel.hpp"

#include <pthread.h>

#include <string>

#include "qnudge/core/address_space.hpp"

namespace qnudge {

void prepare_team(int threads) {
  thread_local int started = 1;  // OpenMP keeps a team for every thread that has led one
  if (threads <= started) return;
  std::size_t stack = std::size_t{8} << 20;
  pthread_attr_t attributes;
  if (::pthread_getattr_default_np(&attributes) == 0) {
    ::pthread_attr_getstacksize(&attributes, &stack);
    ::pthread_attr_destroy(&attributes);
  }
  constexpr std::size_t kSpare = std::size_t{1} << 20;  // guard pages and what a thread keeps for itself
  const auto more = static_cast<std::size_t>(threads - started);
  require_address_space(more * (stack + kSpare), "starting " + std::to_string(threads) + " threads");
  started = threads;
}

}  // namespace qnudge
