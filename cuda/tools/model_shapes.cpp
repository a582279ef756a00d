// SPDX-License-Identifier: MIT
#include "model_shapes.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace qnudge::cuda {
namespace {

/// Builds a network layer by layer.
class Stack {
 public:
  Stack(std::string name, Shape input) : model_{std::move(name), {}}, at_(input) {}

  LayerShape& conv(std::int64_t k, std::int64_t size, std::int64_t stride, std::int64_t pad) {
    return layer(k, {.r = size,
                     .s = size,
                     .stride_h = stride,
                     .stride_w = stride,
                     .pad_top = pad,
                     .pad_left = pad,
                     .pad_bottom = pad,
                     .pad_right = pad});
  }
  /// Over a signal of length H.
  LayerShape& conv1d(std::int64_t k, std::int64_t size, std::int64_t pad) {
    return layer(k, {.r = size, .s = 1, .pad_top = pad, .pad_bottom = pad});
  }
  /// ConvTranspose of stride 1: a convolution with the flipped filter.
  LayerShape& transposed1d(std::int64_t k, std::int64_t size, std::int64_t pad) {
    return conv1d(k, size, size - 1 - pad);
  }
  LayerShape& product(std::int64_t k) { return layer(k, {.r = at_.h, .s = at_.w}); }
  void pool(std::int64_t size, std::int64_t stride, std::int64_t pad) {
    at_.h = (at_.h + 2 * pad - size) / stride + 1;
    at_.w = (at_.w + 2 * pad - size) / stride + 1;
  }
  void average() { at_.h = at_.w = 1; }
  const Shape& at() const { return at_; }
  void go_to(const Shape& shape) { at_ = shape; }
  void output(LayerShape& last) {
    last.float_output = true;
    last.relu = false;
  }
  ModelShapes take() { return std::move(model_); }

 private:
  LayerShape& layer(std::int64_t k, const Window& w) {
    LayerShape l;
    l.name = fmt::format("layer {}", model_.layers.size() + 1);
    l.in = at_;
    l.filter = {k, w.r, w.s, at_.c};
    l.geometry.window = w;
    l.out = {window_extent(at_.h, w.r, w.stride_h, 1, w.pad_top, w.pad_bottom, 1),
             window_extent(at_.w, w.s, w.stride_w, 1, w.pad_left, w.pad_right, 1), k};
    at_ = l.out;
    model_.layers.push_back(l);
    return model_.layers.back();
  }

  ModelShapes model_;
  Shape at_;
};

void vgg_features(Stack& s, bool last_pool) {
  int block = 0;
  for (const auto& [channels, convs] : {std::pair{64, 2}, {128, 2}, {256, 3}, {512, 3}, {512, 3}}) {
    for (int i = 0; i < convs; ++i) s.conv(channels, 3, 1, 1);
    if (++block < 5 || last_pool) s.pool(2, 2, 0);
  }
}

ModelShapes vgg16(std::int64_t size) {
  Stack s(fmt::format("VGG16, {0}x{0}", size), {size, size, 3});
  vgg_features(s, true);
  if (size == 224) {
    s.product(4096);
    s.product(4096);
  } else {
    s.product(512);
  }
  s.output(s.product(size == 224 ? 1000 : 100));
  return s.take();
}

/// A basic block; the shortcut is projected where the shape changes.
void basic_block(Stack& s, std::int64_t channels, std::int64_t stride) {
  const Shape from = s.at();
  s.conv(channels, 3, stride, 1);
  s.conv(channels, 3, 1, 1).addition = true;
  const Shape to = s.at();
  if (from == to) return;
  s.go_to(from);
  s.conv(channels, 1, stride, 0).relu = false;
  s.go_to(to);
}

ModelShapes resnet18(std::int64_t size) {
  Stack s(fmt::format("ResNet18, {0}x{0}", size), {size, size, 3});
  if (size == 224) {
    s.conv(64, 7, 2, 3);
    s.pool(3, 2, 1);
  } else {
    s.conv(64, 3, 1, 1);
  }
  for (const std::int64_t channels : {64, 128, 256, 512}) {
    basic_block(s, channels, channels == 64 ? 1 : 2);
    basic_block(s, channels, 1);
  }
  s.average();
  s.output(s.product(size == 224 ? 1000 : 100));
  return s.take();
}

/// ResNet of CIFAR with n blocks a stage.
ModelShapes cifar_resnet(int n) {
  Stack s(fmt::format("ResNet-{}, 32x32", 6 * n + 2), {32, 32, 3});
  s.conv(16, 3, 1, 1);
  for (const std::int64_t channels : {16, 32, 64}) {
    for (int block = 0; block < n; ++block) basic_block(s, channels, channels > 16 && block == 0 ? 2 : 1);
  }
  s.average();
  s.output(s.product(100));
  return s.take();
}

ModelShapes bottlenecks() {
  Stack s("ResNet50's bottleneck blocks, 224x224", {56, 56, 64});
  for (const std::int64_t width : {64, 128, 256, 512}) {
    const Shape from = s.at();
    const std::int64_t stride = width == 64 ? 1 : 2;
    s.conv(width, 1, 1, 0);
    s.conv(width, 3, stride, 1);
    s.conv(4 * width, 1, 1, 0).addition = true;
    const Shape to = s.at();
    s.go_to(from);
    s.conv(4 * width, 1, stride, 0).relu = false;
    s.go_to(to);
    s.conv(width, 1, 1, 0);
  }
  return s.take();
}

/// Windows as channels, sensors as length; three convolutions and their mirror image, or as many as there are kernels.
ModelShapes autoencoder(const std::string& name, Shape input, const std::vector<std::int64_t>& channels,
                        const std::vector<std::int64_t>& kernels, std::int64_t first_pad) {
  Stack s("CNN autoencoder, " + name, input);
  for (std::size_t i = 0; i < kernels.size(); ++i) s.conv1d(channels[i], kernels[i], i == 0 ? first_pad : 1);
  for (std::size_t i = kernels.size(); i-- > 0;) {
    LayerShape& last = s.transposed1d(i == 0 ? input.c : channels[i - 1], kernels[i], i == 0 ? first_pad : 1);
    if (i == 0) last.relu = false;
  }
  return s.take();
}

ModelShapes faster_rcnn() {
  Stack s("Faster R-CNN (VGG16), 600x800", {600, 800, 3});
  vgg_features(s, false);
  s.conv(512, 3, 1, 1);
  const Shape proposals = s.at();
  s.conv(18, 1, 1, 0).relu = false;
  s.go_to(proposals);
  s.conv(36, 1, 1, 0).relu = false;
  s.go_to({7, 7, 512});  // regions
  s.product(4096);
  s.product(4096);
  const Shape features = s.at();
  s.output(s.product(21));
  s.go_to(features);
  s.output(s.product(84));
  return s.take();
}

}  // namespace

std::vector<ModelShapes> published_models() {
  return {resnet18(32),
          cifar_resnet(3),
          cifar_resnet(9),
          resnet18(224),
          vgg16(32),
          vgg16(224),
          bottlenecks(),
          autoencoder("SWaT", {51, 1, 5}, {84, 123, 205}, {2, 6, 4}, 1),
          autoencoder("MSL", {55, 1, 4}, {95, 126, 138, 261, 685, 927}, {7, 2, 4, 3, 3, 2}, 3),
          autoencoder("SMAP", {25, 1, 5}, {75, 70, 273, 437, 694, 1041}, {3, 2, 5, 3, 2, 2}, 1),
          faster_rcnn()};
}

std::vector<ConvTask> tasks_of(const LayerShape& layer, std::int64_t candidates, std::int64_t rows) {
  constexpr std::int64_t kElements = std::int64_t{1} << 29;
  const std::int64_t largest = std::max(layer.in.size(), layer.out.size());
  std::vector<ConvTask> tasks;
  for (const ConvRole role : {ConvRole::single, ConvRole::wide, ConvRole::shared}) {
    if (role == ConvRole::single && candidates != 1) continue;
    ConvTask task;
    task.role = role;
    task.candidates = candidates;
    task.images = std::max<std::int64_t>(1, std::min(rows, kElements / largest) / candidates);
    task.in = layer.in;
    task.out = layer.out;
    task.filter = layer.filter;
    task.geometry = layer.geometry;
    task.epilogue.float_output = layer.float_output;
    task.epilogue.low = layer.relu ? 0 : -128;
    // The searched layer's own addition reads a tensor that all candidates share, and is a command of its own.
    if (layer.addition && role != ConvRole::wide) {
      task.epilogue.low = -128;
      task.epilogue.addition = FusedAddition{0.5f, 1.0f, 0, 127};
    }
    tasks.push_back(task);
  }
  return tasks;
}

}  // namespace qnudge::cuda
