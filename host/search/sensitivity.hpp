// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/search/setup.hpp"

namespace qnudge {

/// Algorithm 1 on an open session: every layer at rest bits, one at a time at sensitivity bits, top-1 on `images`.
/// `session` ends up with every layer at rest bits.
Sensitivity measure_sensitivity(const Config& config, const IntNetwork& network, Session& session,
                                const ImagesHandle& images);

/// The order "forward": every searchable layer by ordinal, nothing measured (n = 0).
Sensitivity forward_order(const Config& config, const IntNetwork& network);

}  // namespace qnudge
