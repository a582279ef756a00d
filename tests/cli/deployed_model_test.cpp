// SPDX-License-Identifier: MIT
// tuned.onnx in ONNX Runtime: every convolution in integer kernels, predictions equal image by image on a whole test
// set.
#include <gtest/gtest.h>

#include <cstdlib>

#include "disk_problem.hpp"

namespace qnudge {
namespace {

const char* python() {
  return std::getenv("QNUDGE_PYTHON");
}

void expect_onnxruntime_agrees(const std::string& config, const std::vector<std::string>& settings,
                               const std::string& option = "") {
  if (python() == nullptr) GTEST_SKIP() << "QNUDGE_PYTHON names no interpreter with ONNX Runtime";
  test::TemporaryFolder folder;
  const std::string out = (folder / "run").string(), predictions = (folder / "predictions.npy").string(),
                    inputs = (folder / "inputs.npy").string(), model = out + "/tuned.onnx";
  std::vector<std::string> tune{"tune", config, "--out", out, "--quiet"};
  for (const std::string& setting : settings) tune.insert(tune.end(), {"--set", setting});
  const test::Said tuned = test::run(tune);
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  const test::Said evaluated =
      test::run({"eval", "--model", model, "--predictions", predictions, "--save-inputs", inputs, "--quiet"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const std::string command = std::string(python()) + " " QNUDGE_SOURCE_DIR "/tests/python/check_qdq.py " + model +
                              " " + inputs + " " + predictions + option;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST(DeployedModel, ResNet8OnFashionMnist) {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")) {
    GTEST_SKIP() << "Debian's dataset-fashion-mnist is not installed";
  }
  expect_onnxruntime_agrees(QNUDGE_SOURCE_DIR "/configs/quickstart.json",
                            {"model=\"" QNUDGE_SOURCE_DIR "/models/fashion_mnist_resnet8.onnx\"",
                             "search.generations=1", "search.offspring=2", "search.gate=false"});
}

TEST(DeployedModel, ResNet8WithHalfActivations) {
  if (!std::filesystem::exists("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")) {
    GTEST_SKIP() << "Debian's dataset-fashion-mnist is not installed";
  }
  expect_onnxruntime_agrees(
      QNUDGE_SOURCE_DIR "/configs/quickstart.json",
      {"model=\"" QNUDGE_SOURCE_DIR "/models/fashion_mnist_resnet8.onnx\"", "recipe=paper", "quant.activations=half",
       "search.generations=1", "search.offspring=2", "search.parents=2", "search.gate=false", "data.fitness=64"},
      " --half");
}

TEST(DeployedModel, ResNet20OnCifar100) {
  if (std::getenv("QNUDGE_DATA") == nullptr) GTEST_SKIP() << "QNUDGE_DATA names no folder with CIFAR-100";
  expect_onnxruntime_agrees(QNUDGE_SOURCE_DIR "/configs/cifar100_resnet20_paper.json",
                            {"search.generations=1", "search.offspring=1", "search.parents=1", "search.start=bias",
                             "search.gate=false", "search.order=forward", "data.fitness=64", "data.gate=64"});
}

}  // namespace
}  // namespace qnudge
