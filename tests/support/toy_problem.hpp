// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>

#include "qnudge/cpu/float_executor.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/search/tune.hpp"
#include "support/primitives.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::test {

/// Labelled noise images in memory.
class ToyDataset : public Dataset {
 public:
  ToyDataset(const Graph& graph, std::int64_t count, std::uint64_t seed) : shape_(graph.input_shape()) {
    std::mt19937_64 random(seed);
    values_.resize(static_cast<std::size_t>(count * shape_.size()));
    for (float& v : values_) v = static_cast<float>(random() % 2001) / 500.0f - 2.0f;
    const auto read_all = [this](std::int64_t first, std::int64_t n, std::span<float> out) {
      std::copy_n(values_.begin() + first * shape_.size(), n * shape_.size(), out.begin());
    };
    const std::vector<float> logits = FloatExecutor(graph, 1).run(count, read_all);
    classes_ = graph.output_shape().size();
    for (std::int64_t i = 0; i < count; ++i) labels_.push_back(argmax(logits.data() + i * classes_, classes_));
    fingerprint_ = "toy-" + std::to_string(seed);
  }
  Shape shape() const override { return shape_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return classes_; }
  std::span<const std::int32_t> labels() const override { return labels_; }
  void read(std::int64_t index, std::span<float> out) const override {
    std::copy_n(values_.begin() + index * shape_.size(), shape_.size(), out.begin());
  }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::string description() const override { return "toy images"; }

 private:
  Shape shape_;
  std::int64_t classes_ = 0;
  std::vector<float> values_;
  std::vector<std::int32_t> labels_;
  std::string fingerprint_;
};

/// input 6x6x3, conv-bn-relu, conv-bn + skip, relu, global average, gemm to 5 classes.
inline Graph toy_graph() {
  std::mt19937_64 random(5);
  const auto normal = [&](std::size_t n, double deviation) {
    std::vector<float> values(n);
    std::normal_distribution<float> draw(0.0f, static_cast<float>(deviation));
    for (float& v : values) v = draw(random);
    return values;
  };
  Graph graph;
  graph.input_name = "input";
  graph.output_name = "logits";
  graph.fingerprint = "toy-graph";
  const auto add = [&](FloatPrimitive what, const std::string& name, std::vector<int> inputs, Shape shape) {
    graph.nodes.push_back({std::move(what), name, std::move(inputs), shape});
    return static_cast<int>(graph.nodes.size()) - 1;
  };
  const auto conv = [&](const std::string& name, int input, std::int64_t c, std::int64_t k) {
    FloatLayer n;
    n.filter = {k, 3, 3, c};
    n.conv.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    n.weights = normal(static_cast<std::size_t>(n.filter.size()), 0.3);
    n.bias.assign(static_cast<std::size_t>(k), 0.0f);
    const int at = add(std::move(n), name, {input}, {6, 6, k});
    FloatBatchNorm bn;
    bn.scale = normal(static_cast<std::size_t>(k), 0.5);
    bn.shift = normal(static_cast<std::size_t>(k), 0.5);
    return add(std::move(bn), name + "_bn", {at}, {6, 6, k});
  };
  add(FloatInput{}, "input", {}, {6, 6, 3});
  const int skip = add(relu_table(), "relu1", {conv("conv1", 0, 3, 8)}, {6, 6, 8});
  const int sum = add(FloatCombine{}, "add", {conv("conv2", skip, 8, 8), skip}, {6, 6, 8});
  const int relu = add(relu_table(), "relu2", {sum}, {6, 6, 8});
  const int pool = add(FloatWindow{WindowKind::average, {.r = 6, .s = 6}}, "pool", {relu}, {1, 1, 8});
  const int flat = add(FloatMove{}, "flatten", {pool}, {1, 1, 8});
  FloatLayer gemm{.gemm = true};
  gemm.filter = {5, 1, 1, 8};
  gemm.weights = normal(40, 1.0);
  gemm.bias = normal(5, 0.1);
  graph.output = add(std::move(gemm), "fc", {flat}, {1, 1, 5});
  return graph;
}

/// A small run that takes a fraction of a second: 3 bits, 3 layers.
inline Config toy_config() {
  Config config;
  config.recipe = "paper";
  config.search = recipe_search(config.recipe);
  config.data.calibration = config.data.fitness = config.data.gate = 60;
  config.quant.grid.bits = 3;
  config.search.parents = 4;
  config.search.offspring = 6;
  config.search.generations = 6;
  config.search.rate = 0.05;
  config.search.fitness = "top1_then_cross_entropy";
  return config;
}

class SilentObserver : public TuneObserver {
 public:
  void stage(std::string_view) override {}
  void layer_started(int, int, const std::string&, std::int64_t, const Mailbox&) override {}
  void layer_finished(int, int, const std::string&, std::int64_t, std::int64_t) override {}
  void note(const std::string& sentence) override { notes.push_back(sentence); }
  std::vector<std::string> notes;
};

/// Everything that a toy run needs; `request` is complete but for its folder.
struct ToyProblem {
  Graph graph = toy_graph();
  std::shared_ptr<const Dataset> train = std::make_shared<ToyDataset>(graph, 200, 1);
  std::shared_ptr<const Dataset> test = std::make_shared<ToyDataset>(graph, 80, 2);
  std::unique_ptr<Backend> backend = make_host_backend({.threads = 1});
  StopFlag stop{false};
  Config config = toy_config();

  TuneRequest request(const std::filesystem::path& folder, bool resume = false) {
    TuneRequest r;
    r.config = config;
    r.graph = &graph;
    r.train = train;
    r.test = test;
    r.backend = backend.get();
    r.float_pass = [this](std::int64_t count, const SampleReader& samples, const FloatObservation& observe) {
      return FloatExecutor(graph, 1).run(count, samples, observe);
    };
    r.folder = folder;
    r.resume = resume;
    r.stop = &stop;
    return r;
  }
  TuneResult tune(const std::filesystem::path& folder, bool resume = false) {
    stop = false;
    SilentObserver observer;
    return qnudge::tune(request(folder, resume), observer);
  }
};

}  // namespace qnudge::test
