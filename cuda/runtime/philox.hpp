// SPDX-License-Identifier: MIT
#pragma once

// The draw is made on both sides; cuRAND's default would be the device alone, and nothing for a host compiler.
#if !defined(QUALIFIERS) && defined(__CUDACC__)
#define QUALIFIERS static __host__ __device__ __forceinline__
#elif !defined(QUALIFIERS)
#define QUALIFIERS static inline
#endif
#include <cuda_runtime.h>
#include <curand_philox4x32_x.h>

#include "qnudge/core/philox.hpp"

namespace qnudge {

/// Philox4x32-10 by cuRAND, for `draw_block` on the device. Never include this beside Random123: both define global
/// names of the same spelling.
struct CurandPhilox {
  QNUDGE_HOST_DEVICE U32x4 operator()(const U32x4& counter, std::uint32_t key_lo, std::uint32_t key_hi) const {
    const uint4 out = curand_Philox4x32_10(make_uint4(counter.v[0], counter.v[1], counter.v[2], counter.v[3]),
                                           make_uint2(key_lo, key_hi));
    return {{out.x, out.y, out.z, out.w}};
  }
};

}  // namespace qnudge
