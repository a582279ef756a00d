// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "int_network_of.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "support/random_graph.hpp"

/// Networks for the tests of QDQ export and import.
namespace qnudge::test {

namespace fs = std::filesystem;

struct Named {
  std::string name;
  IntNetwork network;
};

inline IntNetwork residual_network() {
  IntNetworkOf net({9, 8, 3});
  const int stem = net.conv(0, {.k = 8, .low = 0});
  const int branch = net.conv(net.conv(stem, {.k = 8, .bits = 4, .low = 0}), {.k = 8, .bits = 4, .per_channel = false});
  const int first = net.add(branch, stem, -3, 0);
  const int down = net.conv(first, {.k = 12, .r = 1, .s = 1, .stride = 2, .pad = 0, .bits = 3, .exponent = -5});
  const int main = net.conv(net.conv(first, {.k = 12, .stride = 2, .low = 0}), {.k = 12, .exponent = -2});
  const int second = net.add(main, down, -3);
  const int third = net.add(net.conv(second, {.k = 12, .groups = 12}), second, -3, 0, 96);
  return net.finish(net.gemm(net.view(net.global_average(third, -4)), {.k = 10, .bits = 6}));
}

inline IntNetwork concat_network() {
  IntNetworkOf net({8, 8, 4});
  const int stem = net.conv(0, {.k = 8, .groups = 2});  // read three times, no ReLU
  const int a = net.conv(stem, {.k = 6, .r = 1, .s = 3, .pad = 1, .dilation = 1, .bits = 2});
  const int b = net.conv(stem, {.k = 6, .r = 1, .s = 3, .pad = 1, .low = 0});
  const int shared = net.clamp(stem, 0, 127);
  const int joined = net.concat({a, b});
  Window two;
  two.r = two.s = two.stride_h = two.stride_w = 2;
  const int pooled = net.pool(joined, WindowKind::max, two, -4);
  const int twice = net.concat({pooled, pooled, net.clamp(pooled, -20, 50)});
  const int flat = net.view(twice);
  const int hidden = net.gemm(flat, {.k = 16, .low = 0, .high = 90});
  const int skip = net.gemm(net.view(net.global_average(shared, -3)), {.k = 16, .per_channel = false});
  return net.finish(net.gemm(net.add(hidden, skip, -4), {.k = 5, .per_channel = false}));
}

inline IntNetwork pooling_network() {
  IntNetworkOf net({11, 10, 6});
  Window three;
  three.r = three.s = 3;
  three.stride_h = three.stride_w = 2;
  three.pad_top = three.pad_right = 1;
  Window tall;
  tall.r = 3;
  tall.s = 2;
  const int a = net.pool(net.conv(0, {.k = 6, .groups = 6}), WindowKind::average, three, -5);
  const int b = net.pool(a, WindowKind::average, tall, -5, true);
  const int c = net.pool(b, WindowKind::average, three, -6, true);
  const int gate = net.sigmoid(net.conv(c, {.k = 4, .low = 0, .high = 96}));
  return net.finish(gate);
}

inline IntNetwork transposed_network(bool float_output) {
  IntNetworkOf net({5, 4, 6});
  const int up = net.conv(0, {.k = 8, .pad = 1, .groups = 2, .spread = 2, .output_padding = 1, .low = 0});
  const int more = net.conv(up, {.k = 4, .r = 4, .s = 2, .pad = 0, .spread = 2, .bits = 5});
  const int back = net.add(more, more, -3);
  const int last = net.conv(back, {.k = 3, .r = 2, .s = 2, .pad = 0, .low = 0});
  return net.finish(float_output ? last : net.clamp(last, 0, 100));
}

inline IntNetwork line_network() {
  IntNetworkOf net({24, 1, 5}, 1);
  const int a = net.conv(0, {.k = 8, .r = 5, .stride = 2, .pad = 2, .low = 0});
  Window w;
  w.r = 3;
  w.stride_h = 2;
  w.pad_bottom = 1;
  const int b = net.pool(net.conv(a, {.k = 8, .dilation = 2, .groups = 8}), WindowKind::max, w, -4);
  const int up = net.conv(b, {.k = 6, .r = 4, .pad = 1, .spread = 2, .output_padding = 1, .low = 0, .high = 80});
  return net.finish(net.gemm(net.concat({up, up}), {.k = 7, .bits = 4}));  // flattened without a view
}

/// One tensor with more readers than axes, as an image and as a matrix.
inline IntNetwork dense_network() {
  IntNetworkOf net({6, 6, 3});
  const int stem = net.conv(0, {.k = 4});
  std::vector<int> branches, hidden;
  for (int i = 0; i < 7; ++i) branches.push_back(net.conv(stem, {.k = 3, .r = 1, .s = 1, .pad = 0, .low = 0}));
  const int joined = net.gemm(net.view(net.concat(branches)), {.k = 8});
  for (int i = 0; i < 5; ++i) hidden.push_back(net.gemm(joined, {.k = 4, .low = -128, .high = 60}));
  return net.finish(net.gemm(net.concat(hidden), {.k = 3}));
}

/// Functions behind convolutions, one that needs its table written out, one per channel, over images and matrices.
inline IntNetwork function_network() {
  using F = ScalarFunction;
  IntNetworkOf net({7, 6, 3});
  const F x, silu = F::of(F::Op::multiply, x, F::of(F::Op::sigmoid, x));
  const F slopes = F::of(F::Op::add, F::of(F::Op::maximum, x, F::constant(0)),
                         F::of(F::Op::multiply, F::parameter(0), F::of(F::Op::minimum, x, F::constant(0))));
  const ChannelValues values{{0.25, -0.125, 0.3, 0.0, 1.0, 0.7}};
  const int a = net.table(net.conv(0, {.k = 6}), silu, -5);
  const int b = net.table(net.conv(a, {.k = 6}), slopes, -4, values);
  const int c = net.table(net.conv(b, {.k = 6}), F::of(F::Op::round, F::of(F::Op::multiply, x, F::constant(0.5))), -2);
  const int d = net.table(net.gemm(net.view(c), {.k = 6}), slopes, -4, values);
  return net.finish(net.gemm(net.table(d, F::of(F::Op::hyperbolic_tangent, x), -7), {.k = 4}));
}

/// Every way to combine two tensors, broadcast along every axis, and with constants.
inline IntNetwork combine_network() {
  IntNetworkOf net({6, 5, 4});
  const int stem = net.conv(0, {.k = 8});
  const int gate = net.sigmoid(net.conv(net.global_average(stem, -4), {.k = 8, .r = 1, .s = 1, .pad = 0}));
  const int squeezed = net.combine(CombineKind::multiply, net.conv(stem, {.k = 8}), gate, -4);
  const int map = net.sigmoid(net.conv(squeezed, {.k = 1}));
  const int spatial = net.combine(CombineKind::multiply, map, squeezed, -5, 0);
  const int lowest = net.combine(CombineKind::minimum, spatial, net.conv(spatial, {.k = 8}), -4);
  const int scalar = net.conv(net.global_average(lowest, -4), {.k = 1, .r = 1, .s = 1, .pad = 0});
  const int apart = net.combine(CombineKind::subtract, lowest, scalar, -3, -90, 100);
  const int full = net.with_constant(CombineKind::add, apart, {6, 5, 8}, false, -3);
  const int rows = net.with_constant(CombineKind::divide, full, {6, 5, 1}, false, -3);
  const int from = net.with_constant(CombineKind::subtract, rows, {1, 1, 8}, true, -3);
  const int flat = net.view(net.combine(CombineKind::maximum, from, full, -3));
  const int product = net.combine(CombineKind::multiply, net.gemm(flat, {.k = 5}), net.gemm(flat, {.k = 1}), -2);
  return net.finish(net.gemm(net.with_constant(CombineKind::maximum, product, {1, 1, 5}, true, -2), {.k = 3}));
}

/// Linear interpolations whose weights are exact, down and up again to the shape of a skip.
inline IntNetwork resize_network(int spatial_rank) {
  using C = ResizeCoordinates;
  const bool line = spatial_rank == 1;
  const auto by = [&](C coordinates, float scale) { return FloatMix{coordinates, scale, line ? 1 : scale}; };
  IntNetworkOf net(line ? Shape{20, 1, 3} : Shape{8, 6, 3}, spatial_rank);
  const int stem = net.conv(0, {.k = 6, .low = 0});
  const int half = net.resize(stem, by(C::pytorch_half_pixel, 0.5f));
  const int low = net.conv(half, {.k = 4, .low = 0, .high = 100});
  const int joined = net.concat({net.resize(low, by(C::half_pixel, 2)), stem, net.resize(low, by(C::asymmetric, 2))});
  const int last = net.conv(joined, {.k = 5});
  return net.finish(net.gemm(net.view(net.resize(last, by(C::half_pixel, 4))), {.k = 7}));
}

/// The same whose weights are rounded, with a factor of its own for each axis.
inline IntNetwork odd_resize_network(int spatial_rank) {
  using C = ResizeCoordinates;
  const bool line = spatial_rank == 1;
  IntNetworkOf net(line ? Shape{20, 1, 3} : Shape{8, 6, 3}, spatial_rank);
  const int stem = net.conv(0, {.k = 6});
  const int corners = net.resize(stem, {C::align_corners, 2, line ? 1.0f : 3.0f});
  const int odd = net.resize(net.conv(corners, {.k = 5, .low = 0}), {C::asymmetric, 1.35f, line ? 1.0f : 0.6f});
  const int last = net.resize(odd, {C::half_pixel_symmetric, 0.7f, line ? 1.0f : 0.45f});
  return net.finish(net.gemm(net.view(last), {.k = 7}));
}

/// Two heads of attention between normalised pixels, as an image or as a sequence.
inline IntNetwork attention_network(int spatial_rank) {
  IntNetworkOf net(spatial_rank == 2 ? Shape{6, 4, 5} : Shape{24, 1, 5}, spatial_rank);
  const ConvOf one{.k = 8, .r = 1, .s = 1, .pad = 0};
  const int stem = net.normalise(net.conv(0, one), NormaliseKind::standard, false, 8, -5);
  const int queries = net.conv(stem, one), keys = net.conv(stem, one), values = net.conv(stem, one);
  const FloatProduct between{.batch = 2, .b_rows = true, .scale = 0.35355338f};
  const int shares = net.softmax(net.product(queries, keys, between, 12, -4));
  const int mixed = net.product(shares, values, {.batch = 2}, 8, -5);
  const int sum = net.add(mixed, stem, -5);
  const int group = net.normalise(sum, NormaliseKind::standard, true, 4, -5, 0);
  const int instance = net.normalise(group, NormaliseKind::standard, true, 1, -5);
  const int square = net.normalise(instance, NormaliseKind::root_mean_square, false, 8, -5);
  const int area = net.normalise(square, NormaliseKind::root_mean_square, true, 2, -5);
  return net.finish(net.gemm(net.view(area), {.k = 10}));
}

inline std::vector<Named> hand_made() {
  return {{"residual", residual_network()},
          {"concat", concat_network()},
          {"pooling", pooling_network()},
          {"transposed", transposed_network(true)},
          {"transposed_codes", transposed_network(false)},
          {"line", line_network()},
          {"dense", dense_network()},
          {"functions", function_network()},
          {"combine", combine_network()},
          {"resize", resize_network(2)},
          {"resize_line", resize_network(1)}};
}

/// A random float graph, quantised on a random grid with random ranges.
inline IntNetwork random_network(std::uint64_t seed, Activations activations = Activations::int8,
                                 bool with_attention = true) {
  const Graph graph = random_graph(seed, with_attention);
  std::mt19937_64 engine(seed);
  const auto draw = [&](int n) { return static_cast<int>(engine() % static_cast<std::uint64_t>(n)); };
  IntNetwork net = lower(graph, draw(2) == 0 ? BatchNormMode::separate : BatchNormMode::fold);
  net.activations = activations;
  Ranges ranges;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) ranges.push_back(std::ldexp(1.5f, draw(3)));
  calibrate(net, ranges);
  for (Layer& layer : net.layers) {
    const Grid grid{2 + draw(7), draw(2) == 0 ? GridScheme::per_layer : GridScheme::per_channel,
                    draw(2) == 0 ? GridScale::pow2 : GridScale::free, GridRange::max};
    layer.params = net.half() && draw(3) == 0 ? half_layer(net, layer) : quantise_layer(net, layer, grid);
  }
  return net;
}

/// A folder of its own for each test.
class QdqFiles : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / ("qnudge_" + std::string(info->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& bytes, const std::string& name = "model.onnx") const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }

  fs::path folder_;
};

inline onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

}  // namespace qnudge::test
