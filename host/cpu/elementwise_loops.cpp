// SPDX-License-Identifier: MIT
#include "elementwise_loops.hpp"

// Function multi-versioning resolves at load time, before the sanitizers' run time is up.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(QNUDGE_SANITIZE)
#define QNUDGE_VECTOR_LEVELS __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define QNUDGE_VECTOR_LEVELS
#endif

namespace qnudge {

QNUDGE_VECTOR_LEVELS void run_range(const AddCodes& shared, std::int64_t count) {
  const AddCodes op = shared;  // a local copy: stores to `code` cannot alias the functor's own fields
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

QNUDGE_VECTOR_LEVELS void run_range(const ClampCodes& shared, std::int64_t count) {
  const ClampCodes op = shared;
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

void run_range(const LookupCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

void run_range(const AveragePoolCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

void run_range(const MaxPoolCodes& op, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) op(i);
}

}  // namespace qnudge
