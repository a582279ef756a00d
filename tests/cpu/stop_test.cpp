// SPDX-License-Identifier: MIT
// Long work on the host ends soon after it is asked to: work for many times longer than is allowed here.
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/cpu/float_executor.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "support/primitives.hpp"
#include "support/processor_time.hpp"
#include "support/random_network.hpp"

namespace qnudge {
namespace {

using namespace std::chrono_literals;

/// The work, on 2 threads, must be interrupted within two seconds of their processor time together.
void expect_stops(const std::function<void()>& work) {
  StopFlag stop{false};
  std::chrono::nanoseconds asked{};
  std::jthread asker([&] {
    std::this_thread::sleep_for(100ms);
    asked = test::processor_time();
    stop = true;
  });
  try {
    const StopScope scope(&stop);
    work();
    FAIL() << "ended by itself";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::interrupted) << error.what();
  }
  const auto answered = test::processor_time();
  asker.join();
  EXPECT_LT(answered - asked, test::kStopAllowed);
}

/// 32 x 32, three convolutions to 64 channels and a product: about 80 million products per image.
Graph wide_graph() {
  Graph graph;
  graph.input_name = "in";
  graph.output_name = "out";
  const auto add = [&](FloatPrimitive what, Shape shape) {
    Node node{.what = std::move(what), .name = "", .inputs = {}, .shape = shape};
    node.name = std::string(kind_of(node)) + std::to_string(graph.nodes.size());
    if (!graph.nodes.empty()) node.inputs = {static_cast<int>(graph.nodes.size()) - 1};
    graph.nodes.push_back(std::move(node));
  };
  const auto layer = [](FilterShape filter) {
    FloatLayer made{.filter = filter};
    made.weights.assign(static_cast<std::size_t>(filter.size()), 0.01f);
    for (std::size_t i = 0; i < made.weights.size(); i += 3) made.weights[i] = -0.02f;
    made.bias.assign(static_cast<std::size_t>(filter.k), 0.1f);
    return made;
  };
  add(FloatInput{}, {32, 32, 1});
  for (std::int64_t c = 1, i = 0; i < 3; ++i, c = 64) {
    FloatLayer conv = layer({64, 3, 3, c});
    conv.conv.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    add(std::move(conv), {32, 32, 64});
    add(test::relu_table(), {32, 32, 64});
  }
  add(FloatWindow{WindowKind::average, {.r = 32, .s = 32}}, {1, 1, 64});
  FloatLayer gemm = layer({5, 1, 1, 64});
  gemm.gemm = true;
  add(std::move(gemm), {1, 1, 5});
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  return graph;
}

IntNetwork wide_network() {
  const Graph graph = wide_graph();
  IntNetwork network = lower(graph, BatchNormMode::separate);
  calibrate(network, Ranges(graph.nodes.size(), 2.0f));
  for (Layer& layer : network.layers) layer.params = quantise_layer(network, layer, {4});
  return network;
}

/// 64 x 64 x 256 to 512 channels: 4.8 billion products for a single image.
IntNetwork vast_network(Activations activations) {
  Graph graph;
  graph.input_name = "in";
  graph.output_name = "out";
  FloatLayer conv{.filter = {512, 3, 3, 256}};
  conv.conv.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  conv.weights.assign(static_cast<std::size_t>(conv.filter.size()), 0.01f);
  conv.bias.assign(512, 0.1f);
  graph.nodes = {{FloatInput{}, "in", {}, {64, 64, 256}}, {std::move(conv), "conv", {0}, {64, 64, 512}}};
  graph.output = 1;
  IntNetwork network = lower(graph, BatchNormMode::separate);
  network.activations = activations;
  calibrate(network, Ranges(2, 2.0f));
  network.layer(0).params = quantise_layer(network, network.layer(0), {4});
  return network;
}

TEST(Stop, PlainLoopsAnswerWithinAnImage) {
  for (const Activations activations : {Activations::int8, Activations::half}) {
    const IntNetwork network = vast_network(activations);
    const auto session = make_reference_backend()->open(network);
    const ImagesHandle one = session->upload(test::random_images(network, 1, 1));
    expect_stops([&] { session->evaluate(one); });
    expect_stops([&] { session->visit_tensors(one, [](int, std::span<const std::uint8_t>) {}); });
  }
}

TEST(Stop, TheFloatPassAnswers) {
  const Graph graph = wide_graph();
  const FloatExecutor executor(graph, 2);
  expect_stops([&] {
    executor.run(1 << 20,
                 [](std::int64_t, std::int64_t, std::span<float> out) { std::fill(out.begin(), out.end(), 1); });
  });
}

class WideSession : public testing::Test {
 protected:
  WideSession() : network_(wide_network()), session_(make_host_backend({.threads = 2})->open(network_)) {}

  ImagesHandle images(std::int64_t count) { return session_->upload(test::random_images(network_, count, 1)); }

  const IntNetwork network_;
  const std::unique_ptr<Session> session_;
};

TEST_F(WideSession, EvaluationAnswers) {
  const ImagesHandle many = images(30'000);
  expect_stops([&] { session_->evaluate(many); });
  expect_stops([&] { session_->accumulator_means(2, many); });
}

TEST_F(WideSession, TheSearchOfALayerAnswersWithinAGeneration) {
  const auto search = session_->prepare(1, images(64), {.parents = 2, .offspring = 20'000, .chunk = 10'000}, {});
  search->start();
  const PopulationState before = search->save();
  const StopFlag never{false};
  expect_stops([&] {
    search->repeat(1, never, [&] {
      for (std::int32_t chunk = 0; chunk < search->chunks(); ++chunk) {
        search->mutate(chunk);
        search->evaluate(chunk);
      }
      search->select();
    });
  });
  EXPECT_EQ(search->save().parents, before.parents);
  EXPECT_EQ(search->save().generation, 0);
  EXPECT_TRUE(search->take_history().empty());
}

/// A form of 576 taps whose matrix is diagonally dominant.
GramForm wide_form(const Layer& layer) {
  GramForm form;
  form.channels = layer.filter.k;
  form.taps = layer.filter.taps();
  const auto taps = static_cast<std::size_t>(form.taps);
  form.h.assign(taps * taps, 3);
  for (std::size_t i = 0; i < taps; ++i) form.h[i * taps + i] = 4000 + static_cast<std::int32_t>(i % 7);
  form.c.assign(static_cast<std::size_t>(form.channels) * taps, 9001);
  form.most.assign(taps, std::int64_t{1} << 40);
  for (std::size_t i = 0; i < taps; ++i) form.order.push_back(static_cast<std::int32_t>(i));
  form.frozen.assign(static_cast<std::size_t>(form.channels), 0);
  form.damping = {0.0};
  form.low = -8;
  form.high = 7;
  return form;
}

TEST_F(WideSession, AGramSearchAnswersWithinAGenerationAndSavesWhatItBeganWith) {
  const auto search =
      session_->prepare_gram(1, wide_form(network_.layer(1)), {.parents = 2, .offspring = 2'000'000, .rate = 0.1});
  search->start();
  const PopulationState before = search->save();
  expect_stops([&] {
    search->mutate(0);
    search->evaluate(0);
  });
  const PopulationState after = search->save();
  EXPECT_EQ(after.parents, before.parents);
  EXPECT_EQ(after.fitness, before.fitness);
  EXPECT_EQ(after.gains, before.gains);
  EXPECT_EQ(after.generation, 0);
}

TEST(Stop, ScopesNestAndWorkWithoutOneIsNeverInterrupted) {
  const StopFlag set{true}, unset{false};
  EXPECT_NO_THROW(stop_point());
  const StopScope outer(&set);
  EXPECT_THROW(stop_point(), Error);
  {
    const StopScope inner(&unset);
    EXPECT_NO_THROW(stop_point());
    const StopScope none(nullptr);
    EXPECT_NO_THROW(stop_point());
  }
  EXPECT_THROW(stop_point(), Error);
}

}  // namespace
}  // namespace qnudge
