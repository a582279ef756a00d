// SPDX-License-Identifier: MIT
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "qnudge/config/config.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {

/// The smallest config that is accepted; `extra` is put before its closing brace, e.g. R"(, "seed": 2)".
inline std::string minimal(const std::string& extra = "") {
  return R"({"model": "m.onnx", "data": {"format": "cifar10", "train_images": "a.bin", "test_images": "b.bin",
             "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]})" +
         extra + "}";
}

/// The message of the usage error that `text` must give; empty if it is accepted.
inline std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_config(text, "run.json", overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return "";
}

}  // namespace qnudge
