// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "cuda/engine/chunk_program.hpp"
#include "cuda/engine/chunk_size.hpp"
#include "cuda/engine/device_images.hpp"
#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/engine.hpp"
#include "qnudge/model/onnx_import.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;

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

/// A convolution and a product behind it, with codes, for `size` x `size` images.
IntNetwork network_of(std::int64_t size, std::int64_t channels) {
  IntNetwork network;
  IntNode input;
  input.shape = {size, size, 3};
  network.nodes.push_back(input);
  const auto layer = [&](Shape in, Shape out, FilterShape filter, Window window) {
    Layer l;
    l.name = "layer" + std::to_string(network.layers.size());
    l.node = static_cast<int>(network.nodes.size());
    l.in = in;
    l.out = out;
    l.filter = filter;
    l.conv.window = window;
    const auto k = static_cast<std::size_t>(filter.k);
    l.params.codes.resize(static_cast<std::size_t>(filter.size()));
    l.params.bias.resize(k);
    l.params.multiplier.assign(k, 1.0f);
    l.params.frozen.resize(k);
    IntNode node;
    node.op = IntOp::conv;
    node.name = l.name;
    node.inputs = {l.node - 1};
    node.shape = out;
    node.layer = static_cast<int>(network.layers.size());
    network.nodes.push_back(node);
    network.layers.push_back(l);
  };
  layer({size, size, 3}, {size, size, channels}, {channels, 3, 3, 3},
        {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1});
  network.output = 1;
  return network;
}

TEST(ChunkSize, FillsTheDeviceButNeitherMemoryNorIndices) {
  for (const std::int64_t size : {32, 224}) {
    test::EmulatedDevice device(test::EmulationOptions{});
    const DeviceNetwork network(device, network_of(size, 64));
    // The output is fp32: 4 bytes an element.
    const std::int64_t elements = size * size * 64;
    for (const std::int64_t candidates : {1, 16, 32, 33, 64, 256}) {
      for (const std::size_t gibibytes : {1, 8, 24, 80, 141}) {
        for (const int streams : {1, 4}) {
          const std::size_t bytes = gibibytes << 30;
          const ChunkLimits limits{.bytes = bytes, .streams = streams};
          if (static_cast<std::size_t>(4 * elements * candidates) > bytes) {
            EXPECT_THROW(choose_chunk(network, {1}, candidates, 50000, limits), Error);
            continue;
          }
          const auto [images, used] = choose_chunk(network, {1}, candidates, 50000, limits);
          ASSERT_GE(images, 1);
          ASSERT_TRUE(used >= 1 && used <= streams);
          EXPECT_LE(static_cast<std::size_t>(4 * elements * candidates * images * used), bytes);
          EXPECT_LT(elements * candidates * images, std::int64_t{1} << 31);
          EXPECT_LE(images * candidates, std::max<std::int64_t>(limits.rows, candidates));
        }
      }
    }
    EXPECT_EQ(choose_chunk(network, {1}, 1, 10, {.bytes = std::size_t{1} << 40}).images, 10)
        << "never more than there are";
    EXPECT_EQ(choose_chunk(network, {1}, 4, 10, {.bytes = 1, .images = 3}).images, 3) << "by hand";
  }
}

TEST(ChunkSize, NamesTheSmallestNeed) {
  test::EmulatedDevice device(test::EmulationOptions{});
  const DeviceNetwork network(device, network_of(224, 64));
  const auto message = [&](std::int64_t candidates, std::size_t bytes) {
    try {
      choose_chunk(network, {1}, candidates, 100, {.bytes = bytes, .streams = 2});
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::device);
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(32, std::size_t{1} << 20), HasSubstr("one image with 32 candidates needs 392.0 MiB"));
  EXPECT_THAT(message(32, std::size_t{1} << 20), HasSubstr("and 1.0 MiB are left"));
  EXPECT_THAT(message(1024, std::size_t{1} << 40), HasSubstr("more than the 2^31 - 1"));
}

/// The quickstart's own network: residual additions, a projection, pooling, a product.
TEST(EngineRealModel, ResNet8GivesTheHostsBytes) {
  const Graph graph = import_onnx(QNUDGE_SOURCE_DIR "/models/fashion_mnist_resnet8.onnx", {});
  IntNetwork network = lower(graph, BatchNormMode::separate);
  calibrate(network, Ranges(graph.nodes.size(), 3.0f));
  for (Layer& layer : network.layers) layer.params = quantise_layer(network, layer, {.bits = 4});
  const ImageSet images = test::random_images(network, 3, 1);
  const auto emulated = [](const test::EmulationOptions& options) {
    return make_engine(std::make_shared<test::EmulatedDevice>(options), {.images_per_chunk = 2});
  };
  EXPECT_EQ(test::all_tensors(*emulated({}), network, images),
            test::all_tensors(*make_host_backend({}), network, images));
  const PopulationOptions options{.parents = 2, .offspring = 3, .fitness = FitnessKind::cross_entropy};
  for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
    test::expect_equal(test::run_search(*emulated({.streams = 2}), network, images, layer, options, 2),
                       test::run_search(*make_host_backend({}), network, images, layer, options, 2),
                       network.layer(layer).name);
  }
}

}  // namespace
}  // namespace qnudge::cuda
