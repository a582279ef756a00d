// SPDX-License-Identifier: MIT
#include "qnudge/backend/channel_target.hpp"

#include <algorithm>
#include <cmath>

namespace qnudge {

ChannelTarget channel_target(const IntNetwork& network, const LayerTargets& targets,
                             std::span<const std::int8_t> shortcut) {
  ChannelTarget target{.target = targets.values.data()};
  if (targets.site.shortcut < 0) return target;
  target.shortcut = shortcut.data();
  target.shortcut_shift = network.at(targets.site.shortcut).exponent - targets.exponent;
  return target;
}

ChannelError channel_error(const IntNetwork& network, int layer, const LayerTargets& targets,
                           std::span<const std::int8_t> shortcut) {
  const IntNode& site = network.at(targets.site.node);
  ChannelError error{.target = channel_target(network, targets, shortcut)};
  if (site.low == 0) error.target_low = 0;
  if (site.clip_high > 0) {
    const double steps = std::min(std::ldexp(site.clip_high, -targets.exponent), 1.0 * kTargetLimit);
    error.target_high = static_cast<std::int32_t>(std::nearbyint(steps));
  }
  error.low = site.low;
  error.high = site.high;
  error.code_shift = site.exponent - targets.exponent;
  error.float_output = targets.site.node == network.output && network.float_output();
  error.per_value = static_cast<float>(std::ldexp(1.0, -targets.exponent));
  if (const auto multipliers = sum_multipliers(site); multipliers && targets.site.shortcut >= 0) {
    const std::size_t own = site.inputs.front() == network.layer(layer).node ? 0 : 1;
    error.m_layer = (*multipliers)[own];
    error.m_shortcut = (*multipliers)[1 - own];
  }
  return error;
}

}  // namespace qnudge
