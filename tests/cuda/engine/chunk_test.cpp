// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/engine/device_images.hpp"
#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/cuda/engine.hpp"
#include "qnudge/model/onnx_import.hpp"

namespace qnudge::cuda {
namespace {

TEST(ImageChunks, CoverEverySampleOnceAndAreAlwaysWhole) {
  for (std::int64_t count = 1; count < 40; ++count) {
    for (std::int64_t size = 1; size <= count; ++size) {
      std::vector<int> seen(static_cast<std::size_t>(count));
      for (const ImageChunk& chunk : image_chunks(count, size)) {
        ASSERT_GE(chunk.first, 0);
        ASSERT_LE(chunk.first + size, count);
        ASSERT_LT(chunk.skip, size);
        for (std::int64_t i = chunk.skip; i < size; ++i) ++seen[static_cast<std::size_t>(chunk.first + i)];
      }
      ASSERT_EQ(seen, std::vector<int>(seen.size(), 1)) << count << " images in chunks of " << size;
    }
  }
}

/// The quickstart's own network: residual additions, a projection, pooling, a product.
TEST(EngineRealModel, ResNet8GivesTheHostsBytes) {
  const Graph graph = import_onnx(QNUDGE_SOURCE_DIR "/models/fashion_mnist_resnet8.onnx", {});
  IntNetwork network = lower(graph, BatchNormMode::separate);
  calibrate(network, Ranges(graph.nodes.size(), 3.0f));
  for (Layer& layer : network.layers) layer.params = quantise_layer(network, layer, {.bits = 4});
  const ImageSet images = test::random_images(network, 3, 1);
  std::vector<std::shared_ptr<test::EmulatedDevice>> devices;
  const auto emulated = [&](const test::EmulationOptions& options) {
    devices.push_back(std::make_shared<test::EmulatedDevice>(options));
    return make_engine(devices.back(), {.images_per_chunk = 2});
  };
  EXPECT_EQ(test::all_tensors(*emulated({}), network, images),
            test::all_tensors(*make_host_backend({}), network, images));
  const PopulationOptions options{.parents = 2, .offspring = 3, .fitness = FitnessKind::cross_entropy};
  for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
    test::expect_equal(test::run_search(*emulated({.streams = 2}), network, images, layer, options, 2),
                       test::run_search(*make_host_backend({}), network, images, layer, options, 2),
                       network.layer(layer).name);
  }
  for (const auto& device : devices) {
    EXPECT_THAT(device->prepared_alone(), testing::IsEmpty()) << "plans that could have been made with others";
  }
}

}  // namespace
}  // namespace qnudge::cuda
