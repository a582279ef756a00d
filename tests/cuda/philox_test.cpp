// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <random>

#include "curand_block.hpp"
#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

TEST(Philox, CurandEqualsRandom123) {
  std::mt19937 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const U32x4 counter{{static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()),
                         static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())}};
    const auto lo = static_cast<std::uint32_t>(random()), hi = static_cast<std::uint32_t>(random());
    const U32x4 device = test::curand_block(counter, lo, hi), host = Random123Philox{}(counter, lo, hi);
    for (int word = 0; word < 4; ++word) ASSERT_EQ(device.v[word], host.v[word]) << "draw " << i;
  }
}

}  // namespace
}  // namespace qnudge
