// SPDX-License-Identifier: MIT
#include "qnudge/search/measured_set.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "qnudge/search/setup.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

TEST(MeasuredSet, BlocksChangeNothing) {
  const Graph graph = test::toy_graph();
  const test::ToyDataset train(graph, 120, 1), data(graph, 50, 2);
  const FloatExecutor executor(graph, 1);
  const FloatPass float_pass = [&](std::int64_t count, const SampleReader& samples, const FloatObservation& observe) {
    return executor.run(count, samples, observe);
  };
  const Config config = test::toy_config();
  IntNetwork network = prepare_network(config, graph, train, data, float_pass, {}).network;
  std::vector<LayerParams> params = nearest_params(network, config.quant);
  for (std::size_t l = 0; l < params.size(); ++l) network.layers[l].params = std::move(params[l]);
  const auto session = make_host_backend({.threads = 1})->open(network);

  Indices indices(47);
  std::iota(indices.rbegin(), indices.rend(), 1);
  const Evaluation whole = session->evaluate(session->upload(make_image_set(network, data, indices, nullptr)));
  const std::int64_t image = data.shape().size();
  for (const std::int64_t bytes : {std::int64_t{1}, image, 7 * image + 1, 46 * image, 47 * image}) {
    const Evaluation found = MeasuredSet(network, *session, data, indices, bytes).evaluate();
    EXPECT_EQ(found.predicted, whole.predicted) << bytes;
    EXPECT_EQ(found.correct, whole.correct) << bytes;
    EXPECT_EQ(found.cross_entropy, whole.cross_entropy) << bytes;
  }
}

}  // namespace
}  // namespace qnudge
