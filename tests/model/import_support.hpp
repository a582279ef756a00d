// SPDX-License-Identifier: MIT
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "qnudge/core/error.hpp"
#include "qnudge/model/onnx_import.hpp"
#include "support/onnx_builder.hpp"
#include "support/primitives.hpp"

namespace qnudge::test {

/// A file of this process that vanishes with the object.
class ScratchFile {
 public:
  ScratchFile() : path_(::testing::TempDir() + "qnudge_model_" + std::to_string(::getpid()) + ".onnx") {}
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& write(std::string_view bytes) const {
    std::ofstream(path_, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path_;
  }

 private:
  std::filesystem::path path_;
};

inline Graph import_bytes(std::string_view bytes, const ImportOptions& options = {}) {
  const ScratchFile file;
  return import_onnx(file.write(bytes), options);
}

inline Graph import(const OnnxBuilder& model, const ImportOptions& options = {}) {
  return import_bytes(model.bytes(), options);
}

/// The sentence with which `bytes` are refused; fails the test unless it is Error(kind input) naming the file.
inline std::string refusal_of_bytes(std::string_view bytes, const ImportOptions& options = {}) {
  const ScratchFile file;
  try {
    import_onnx(file.write(bytes), options);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_THAT(error.what(), ::testing::StartsWith(file.path().string() + ": "));
    return error.what();
  }
  ADD_FAILURE() << "was accepted";
  return "";
}

inline std::string refusal(const OnnxBuilder& model, const ImportOptions& options = {}) {
  return refusal_of_bytes(model.bytes(), options);
}

/// 1, 2, 3, ...: every weight tells its place.
inline std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 1.0f);
  return values;
}

/// Small varied numbers, exact in every product and sum of these tests.
inline std::vector<float> varied(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<float>((i * 7 + i / 5 * 3) % 11) - 5.0f;
  return values;
}

}  // namespace qnudge::test
