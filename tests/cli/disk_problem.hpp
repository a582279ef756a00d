// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "qnudge/cli/cli.hpp"
#include "qnudge/cpu/float_executor.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/model/onnx_import.hpp"
#include "support/toy_problem.hpp"

namespace qnudge::test {

/// What one call of the command line did.
struct Said {
  int code = 0;
  std::string out, err;
};

/// Runs the command line in this process.
inline Said run(const std::vector<std::string>& arguments) {
  std::vector<const char*> argv = {"qnudge"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  std::ostringstream out, err;
  Said said;
  said.code = run_cli(static_cast<int>(argv.size()), argv.data(), out, err);
  said.out = out.str();
  said.err = err.str();
  return said;
}

/// What a call that must succeed printed.
inline nlohmann::json json_of(const Said& said) {
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_TRUE(nlohmann::json::accept(said.out)) << said.out;
  return nlohmann::json::parse(said.out, nullptr, false);
}

/// 6x6x1 input, convolution and ReLU, global average, product to 3 classes.
inline Graph small_graph() {
  std::mt19937_64 random(11);
  const auto fill = [&](std::vector<float>& values, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(random() % 2001) / 1000.0f - 1.0f);
  };
  Graph graph;
  graph.input_name = "image";
  graph.output_name = "logits";
  FloatLayer conv, fc{.gemm = true};
  conv.filter = {.k = 4, .r = 3, .s = 3, .c = 1};
  conv.conv.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  fc.filter = {.k = 3, .r = 1, .s = 1, .c = 4};
  for (FloatLayer* const layer : {&conv, &fc}) {
    fill(layer->weights, layer->filter.size());
    fill(layer->bias, layer->filter.k);
  }
  graph.nodes = {{FloatInput{}, "image", {}, {6, 6, 1}},
                 {conv, "conv", {0}, {6, 6, 4}},
                 {relu_table(), "relu", {1}, {6, 6, 4}},
                 {FloatWindow{WindowKind::average, {.r = 6, .s = 6}}, "pool", {2}, {1, 1, 4}},
                 {FloatMove{}, "flatten", {3}, {1, 1, 4}},
                 {fc, "fc", {4}, {1, 1, 3}}};
  graph.output = 5;
  return graph;
}

/// A model, IDX files with the labels that it gives, and a config, all in a folder of their own.
class DiskProblem {
 public:
  /// `graph`: from 6x6x1 to 3 classes.
  explicit DiskProblem(const Graph& graph = small_graph()) {
    export_float_onnx(graph, model());
    write_images(graph, "train", 200, 1);
    write_images(graph, "test", 60, 2);
    write_config(model().string());
  }

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::filesystem::path model() const { return folder_ / "small.onnx"; }
  std::string config() const { return path("small.json"); }

  void write_config(const std::string& model_path) const {
    std::ofstream(config()) << fmt::format(
        R"({{"recipe": "paper", "model": "{0}", "data": {{"format": "idx", "classes": 3,
"train_images": "{1}/train-images", "train_labels": "{1}/train-labels", "test_images": "{1}/test-images",
"test_labels": "{1}/test-labels", "mean": [0.5], "std": [0.25], "calibration": 50, "fitness": 50, "gate": 50}},
"quant": {{"grid": {{"bits": 2}}}},
"search": {{"parents": 3, "offspring": 4, "generations": 3, "rate": 0.1, "fitness": "top1_then_cross_entropy"}},
"threads": 1, "out": "{1}/run"}})",
        model_path, (folder_ / "x").parent_path().string());
  }

 private:
  static void append_big_endian(std::string& bytes, std::uint32_t value) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 0xff);
  }

  void write_images(const Graph& graph, const std::string& set, std::uint32_t count, std::uint64_t seed) const {
    std::mt19937_64 random(seed);
    std::string images, labels;
    for (const std::uint32_t word : {0x803u, count, 6u, 6u}) append_big_endian(images, word);
    for (const std::uint32_t word : {0x801u, count}) append_big_endian(labels, word);
    std::vector<float> samples;
    for (std::uint32_t i = 0; i < count * 36; ++i) {
      const auto pixel = static_cast<unsigned char>(random());
      images += static_cast<char>(pixel);
      samples.push_back((static_cast<float>(pixel) / 255.0f - 0.5f) / 0.25f);
    }
    const std::vector<float> logits =
        FloatExecutor(graph, 1).run(count, [&](std::int64_t first, std::int64_t n, std::span<float> out) {
          std::copy_n(samples.begin() + first * 36, n * 36, out.begin());
        });
    for (std::uint32_t i = 0; i < count; ++i) labels += static_cast<char>(argmax(logits.data() + i * 3, 3));
    std::ofstream(folder_ / (set + "-images"), std::ios::binary) << images;
    std::ofstream(folder_ / (set + "-labels"), std::ios::binary) << labels;
  }

  TemporaryFolder folder_;
};

}  // namespace qnudge::test
