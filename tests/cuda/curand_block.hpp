// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/core/philox.hpp"

namespace qnudge::test {

/// Philox4x32-10 by cuRAND's header, compiled for the host.
U32x4 curand_block(const U32x4& counter, std::uint32_t key_lo, std::uint32_t key_hi);

}  // namespace qnudge::test
