// SPDX-License-Identifier: MIT
#pragma once

/// Marks a function that the host compiler and nvcc both compile: the per-element rules that every backend shares.
#if defined(__CUDACC__)
#define QNUDGE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define QNUDGE_HOST_DEVICE inline __attribute__((always_inline))
#endif
