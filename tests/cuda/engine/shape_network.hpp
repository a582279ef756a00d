// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <utility>

#include "qnudge/quant/network.hpp"

namespace qnudge::cuda::test {

/// Networks of which only the shapes are there, for planning: no weights, so that large ones cost nothing.
class ShapeNetwork {
 public:
  explicit ShapeNetwork(Shape input) {
    IntNode node;
    node.name = "input";
    node.shape = input;
    network_.nodes.push_back(node);
  }

  int conv(int in, std::int64_t k, std::int64_t r, std::int64_t stride, std::int64_t pad) {
    Layer layer;
    layer.name = "layer" + std::to_string(network_.layers.size());
    layer.node = static_cast<int>(network_.nodes.size());
    layer.in = network_.at(in).shape;
    layer.out = {(layer.in.h + 2 * pad - r) / stride + 1, (layer.in.w + 2 * pad - r) / stride + 1, k};
    layer.filter = {k, r, r, layer.in.c};
    layer.conv.window = {.r = r,
                         .s = r,
                         .stride_h = stride,
                         .stride_w = stride,
                         .pad_top = pad,
                         .pad_left = pad,
                         .pad_bottom = pad,
                         .pad_right = pad};
    IntNode node;
    node.what = IntLayer{static_cast<int>(network_.layers.size())};
    node.shape = layer.out;
    network_.layers.push_back(layer);
    return add_node(std::move(node), {in});
  }
  int add(int a, int b) {
    IntNode node;
    node.what = IntCombine{};
    node.shape = network_.at(a).shape;
    return add_node(std::move(node), {a, b});
  }
  int pool(int in, std::int64_t size, std::int64_t stride, std::int64_t pad = 0) {
    IntNode node;
    node.what = IntWindow{};
    const Shape from = network_.at(in).shape;
    node.shape = {(from.h + 2 * pad - size) / stride + 1, (from.w + 2 * pad - size) / stride + 1, from.c};
    return add_node(std::move(node), {in});
  }
  IntNetwork take() {
    network_.output = static_cast<int>(network_.nodes.size()) - 1;
    return std::move(network_);
  }

 private:
  int add_node(IntNode node, std::vector<int> inputs) {
    node.name = "node" + std::to_string(network_.nodes.size());
    node.inputs = std::move(inputs);
    network_.nodes.push_back(std::move(node));
    return static_cast<int>(network_.nodes.size()) - 1;
  }
  IntNetwork network_;
};

inline IntNetwork resnet18_shapes() {
  ShapeNetwork n({224, 224, 3});
  int x = n.pool(n.conv(0, 64, 7, 2, 3), 3, 2, 1);
  for (const std::int64_t k : {64, 128, 256, 512}) {
    for (const bool first : {true, false}) {
      const std::int64_t stride = first && k > 64 ? 2 : 1;
      const int body = n.conv(n.conv(x, k, 3, stride, 1), k, 3, 1, 1);
      x = n.add(body, stride == 2 ? n.conv(x, k, 1, 2, 0) : x);
    }
  }
  n.conv(n.pool(x, 7, 7), 1000, 1, 1, 0);
  return n.take();
}

inline IntNetwork vgg16_shapes() {
  ShapeNetwork n({224, 224, 3});
  int x = 0;
  for (const auto& [k, convolutions] : {std::pair{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 0; i < convolutions; ++i) x = n.conv(x, k, 3, 1, 1);
    x = n.pool(x, 2, 2);
  }
  n.conv(n.conv(n.conv(x, 4096, 7, 1, 0), 4096, 1, 1, 0), 1000, 1, 1, 0);
  return n.take();
}

}  // namespace qnudge::cuda::test
