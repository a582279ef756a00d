// SPDX-License-Identifier: MIT
#include "qnudge/kernels/channel_error.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace qnudge {
namespace {

TEST(ChannelError, ShiftsRoundToTheNearestHalvesUp) {
  for (std::int32_t value = -300; value <= 300; ++value) {
    for (std::int32_t shift = -4; shift <= 4; ++shift) {
      EXPECT_EQ(shifted(value, shift), static_cast<std::int32_t>(std::floor(std::ldexp(value, shift) + 0.5)));
    }
  }
  EXPECT_EQ(shifted(1, 40), 65536);
  EXPECT_EQ(shifted(-128, -40), 0);
}

TEST(ChannelError, EqualsTheDefinitionBehindAdditionAndActivation) {
  std::mt19937_64 random(3);
  const auto draw = [&](std::int32_t low, std::int32_t high) {
    return static_cast<std::int32_t>(low +
                                     static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1)));
  };
  for (int trial = 0; trial < 20000; ++trial) {
    const auto target = static_cast<std::int16_t>(draw(-kTargetLimit, kTargetLimit));
    const auto shortcut = static_cast<std::int8_t>(draw(-128, 127)), code = static_cast<std::int8_t>(draw(-128, 127));
    const bool relu = draw(0, 1) != 0, addition = draw(0, 1) != 0;
    const std::int32_t site = draw(-2, 9), layer = draw(-3, 3), other = draw(-3, 3);  // exponents above the target's
    ChannelError error;
    error.target = {&target, addition ? &shortcut : nullptr, site + other};
    error.target_low = relu ? 0 : -kTargetLimit;
    error.m_layer = std::ldexp(1.0f, layer);
    error.m_shortcut = std::ldexp(1.0f, other);
    error.low = relu ? 0 : -128;
    error.code_shift = site;

    double y = code;
    if (addition) {
      y = std::clamp(std::nearbyint(std::ldexp(code, layer) + std::ldexp(shortcut, other)), relu ? 0.0 : -128.0, 127.0);
    }
    const double wanted = relu ? std::max<double>(target, 0) : target;
    const double e = std::floor(std::ldexp(y, site) + 0.5) - wanted;
    ASSERT_EQ(error(0, code), static_cast<std::int64_t>(e * e));
    const double rest = target - (addition ? std::floor(std::ldexp(shortcut, site + other) + 0.5) : 0.0);
    ASSERT_EQ(error.target.without_shortcut(0),
              static_cast<std::int32_t>(std::clamp(rest, -1.0 * kTargetLimit, 1.0 * kTargetLimit)));
  }
}

TEST(ChannelError, FloatOutputsAreRoundedToTheTargetsGridAndSaturate) {
  const std::int16_t target = 100;
  ChannelError error{.target = {&target}};
  error.per_value = 16.0f;
  EXPECT_EQ(error(0, 6.25f), 0);
  EXPECT_EQ(error(0, 6.25f + 1.5f / 16), 4) << "half to even";
  EXPECT_EQ(error(0, -1e30f), (4194304LL + 100) * (4194304LL + 100));
  EXPECT_EQ(error(0, INFINITY), (4194304LL - 100) * (4194304LL - 100));
}

}  // namespace
}  // namespace qnudge
