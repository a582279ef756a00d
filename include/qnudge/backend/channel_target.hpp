// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "qnudge/kernels/channel_error.hpp"
#include "qnudge/quant/targets.hpp"

namespace qnudge {

/// Targets beside the shortcut's sampled codes ([rows, K]; empty without one).
ChannelTarget channel_target(const IntNetwork& network, const LayerTargets& targets,
                             std::span<const std::int8_t> shortcut);

/// The same with what lies behind the layer.
ChannelError channel_error(const IntNetwork& network, int layer, const LayerTargets& targets,
                           std::span<const std::int8_t> shortcut);

}  // namespace qnudge
