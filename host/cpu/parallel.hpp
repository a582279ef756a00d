// SPDX-License-Identifier: MIT
#pragma once

#include <omp.h>

#include <atomic>
#include <cstdint>
#include <exception>
#include <utility>

#include "qnudge/core/stop.hpp"

namespace qnudge {

/// Throws Error(kind device) where a team of so many threads would not fit: OpenMP ends the program then.
void prepare_team(int threads);

/// body(thread, i) for every i in [0, count) on `threads` threads, one barrier at the end. The first exception thrown
/// by any of them is rethrown here (OpenMP itself lets none escape); what has not begun then is left out. Every i is a
/// stop_point of the calling thread.
template <class Body>
void parallel_for(int threads, std::int64_t count, const Body& body) {
  prepare_team(threads);
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
  const StopFlag* const stop = StopScope::current();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (std::int64_t i = 0; i < count; ++i) {
    if (failed.load(std::memory_order_relaxed)) continue;
    try {
      const StopScope scope(stop);
      stop_point();
      body(omp_get_thread_num(), i);
    } catch (...) {
#pragma omp critical(qnudge_parallel_failure)
      if (!failure) failure = std::current_exception();
      failed.store(true, std::memory_order_relaxed);
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace qnudge
