// SPDX-License-Identifier: MIT
// scripts/export_model.py: what it writes is imported, and gives PyTorch's answers.
#include <gtest/gtest.h>

#include <cstdlib>

#include "disk_problem.hpp"

namespace qnudge {
namespace {

void expect_pytorch_agrees(const std::string& networks) {
  const char* python = std::getenv("QNUDGE_TORCH");
  if (python == nullptr) GTEST_SKIP() << "QNUDGE_TORCH names no interpreter with PyTorch";
  const test::TemporaryFolder folder;
  const std::string command = fmt::format("'{}' '{}/tests/python/check_export.py' '{}' '{}' {}", python,
                                          QNUDGE_SOURCE_DIR, QNUDGE_BINARY, (folder / "").string(), networks);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(ExportScript, CifarNetworks) {
  expect_pytorch_agrees("cifar100:resnet20 cifar100:vgg16_bn");
}

TEST(ExportScript, AllNetworks) {
  if (std::getenv("QNUDGE_LONG_TESTS") == nullptr) GTEST_SKIP() << "minutes; QNUDGE_LONG_TESTS=1 runs it";
  expect_pytorch_agrees(
      "cifar100:resnet32 cifar100:resnet44 cifar100:resnet56 cifar100:resnet18 imagenet:resnet18 imagenet:resnet34 "
      "imagenet:resnet50 imagenet:vgg16 imagenet:vgg16_bn");
}

}  // namespace
}  // namespace qnudge
