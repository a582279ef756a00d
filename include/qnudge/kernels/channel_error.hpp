// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/requantise.hpp"

namespace qnudge {

/// value * 2^shift, to the nearest integer, halves up; shifts beyond +-16 act like +-16.
QNUDGE_HOST_DEVICE std::int32_t shifted(std::int32_t value, std::int32_t shift) {
  if (shift >= 0) return value * (std::int32_t{1} << (shift < 16 ? shift : 16));
  const std::int32_t down = shift > -16 ? -shift : 16;
  return (value + (std::int32_t{1} << (down - 1))) >> down;
}

/// Targets of one layer beside what its target site's addition adds to it, [rows, K] each.
struct ChannelTarget {
  const std::int16_t* target = nullptr;   ///< float model's value before ReLU or Clip
  const std::int8_t* shortcut = nullptr;  ///< codes of the addition's other input; nullptr: no addition
  std::int32_t shortcut_shift = 0;        ///< exponent of the shortcut minus that of the targets

  /// Target minus shortcut, saturated at +-kTargetLimit: what the layer itself has to give.
  QNUDGE_HOST_DEVICE std::int32_t without_shortcut(std::int64_t i) const {
    std::int32_t t = target[i];
    if (shortcut != nullptr) t -= shifted(shortcut[i], shortcut_shift);
    return t > kTargetLimit ? kTargetLimit : (t < -kTargetLimit ? -kTargetLimit : t);
  }
};

/// Squared error of one output value of a layer against the float model's, behind addition and activation, in steps of
/// the target's grid.
struct ChannelError {
  ChannelTarget target;
  std::int32_t target_low = -kTargetLimit, target_high = kTargetLimit;  ///< the float model's activation
  float m_layer = 1, m_shortcut = 1;    ///< multipliers of the addition (quant/network.hpp)
  std::int32_t low = -128, high = 127;  ///< its bounds
  std::int32_t code_shift = 0;          ///< exponent of the site's codes minus that of the targets
  bool float_output = false;
  float per_value = 1;  ///< 2^-exponent of the targets, for a float output

  QNUDGE_HOST_DEVICE std::int32_t wanted(std::int64_t i) const {
    const std::int32_t t = target.target[i];
    return t < target_low ? target_low : (t > target_high ? target_high : t);
  }
  /// `code`: the layer's own output code of element i.
  QNUDGE_HOST_DEVICE std::int64_t operator()(std::int64_t i, std::int8_t code) const {
    std::int32_t y = code;
    if (target.shortcut != nullptr) {
      y = to_code(static_cast<float>(code) * m_layer + static_cast<float>(target.shortcut[i]) * m_shortcut, low, high);
    }
    const std::int64_t error = shifted(y, code_shift) - wanted(i);
    return error * error;
  }
  /// `value`: element i of a float output; saturated at +-2^22 steps.
  QNUDGE_HOST_DEVICE std::int64_t operator()(std::int64_t i, float value) const {
    constexpr float kMost = 4194304.0f;
    const float steps = value * per_value;
    const float above = steps > -kMost ? steps : -kMost;
    const std::int64_t error = static_cast<std::int32_t>(round_half_even(above < kMost ? above : kMost)) - wanted(i);
    return error * error;
  }
};

}  // namespace qnudge
