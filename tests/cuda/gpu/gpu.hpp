// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "qnudge/cuda/devices.hpp"

namespace qnudge::cuda::test {

/// QNUDGE_GPU_SAMPLE=n: tests that compile hundreds of plans try every n-th of their cases, so that a check ends in
/// time. 1, all of them, if it is not set.
inline int sample_step() {
  const char* text = std::getenv("QNUDGE_GPU_SAMPLE");
  return text == nullptr ? 1 : std::max(1, std::atoi(text));
}

/// Skips the test where no GPU can be used, saying why.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string problem = cuda_status().problem;
    if (!problem.empty()) GTEST_SKIP() << problem;
  }
};

}  // namespace qnudge::cuda::test
