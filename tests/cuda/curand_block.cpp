// SPDX-License-Identifier: MIT
// cuRAND's side of the comparison: a file of its own, since its names clash with Random123's.
#include "curand_block.hpp"

#include "cuda/runtime/philox.hpp"

namespace qnudge::test {

U32x4 curand_block(const U32x4& counter, std::uint32_t key_lo, std::uint32_t key_hi) {
  return CurandPhilox{}(counter, key_lo, key_hi);
}

}  // namespace qnudge::test
