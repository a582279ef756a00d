// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include "qnudge/cuda/devices.hpp"

namespace qnudge::cuda::test {

/// Skips the test where no GPU can be used, saying why.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string problem = cuda_status().problem;
    if (!problem.empty()) GTEST_SKIP() << problem;
  }
};

}  // namespace qnudge::cuda::test
