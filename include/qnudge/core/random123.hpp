// SPDX-License-Identifier: MIT
#pragma once

#include <Random123/philox.h>

#include "qnudge/core/philox.hpp"

namespace qnudge {

/// Philox4x32-10 by Random123, for `draw_block` on the host. Never include this beside cuRAND's header: both define
/// global names of the same spelling.
struct Random123Philox {
  U32x4 operator()(const U32x4& counter, std::uint32_t key_lo, std::uint32_t key_hi) const {
    const r123::Philox4x32::ctr_type in = {{counter.v[0], counter.v[1], counter.v[2], counter.v[3]}};
    const r123::Philox4x32::key_type key = {{key_lo, key_hi}};
    const auto out = r123::Philox4x32{}(in, key);
    return {{out[0], out[1], out[2], out[3]}};
  }
};

}  // namespace qnudge
