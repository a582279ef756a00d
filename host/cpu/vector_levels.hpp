// SPDX-License-Identifier: MIT
#pragma once

/// Compiles a function for several instruction-set levels; the loader picks one. Not under the sanitizers: it does so
/// before their run time is up.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(QNUDGE_SANITIZE)
#define QNUDGE_VECTOR_LEVELS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define QNUDGE_VECTOR_LEVELS
#endif
