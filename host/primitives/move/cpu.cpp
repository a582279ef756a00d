// SPDX-License-Identifier: MIT
#include <cstring>
#include <vector>

#include "host/cpu/primitives.hpp"

namespace qnudge {
namespace {

/// Copies runs of `bytes` bytes that lie along `axes`, whose elements have `size` bytes.
void copy_runs(std::span<const ElementMap::Axis> axes, std::int64_t size, std::size_t bytes, const std::byte* x,
               std::byte* y) {
  if (axes.empty()) {
    std::memcpy(y, x, bytes);
    return;
  }
  const ElementMap::Axis outer = axes.front();
  for (std::int64_t i = 0; i < outer.extent; ++i, x += outer.from * size, y += outer.to * size) {
    if (axes.size() == 1) {
      std::memcpy(y, x, bytes);
    } else {
      copy_runs(axes.subspan(1), size, bytes, x, y);
    }
  }
}

void copy_box(const ElementMap::Box& box, std::int64_t size, const std::byte* x, std::byte* y) {
  std::span<const ElementMap::Axis> axes = box.axes;
  std::int64_t run = 1;  // elements next to each other
  if (!axes.empty() && axes.back().from == 1 && axes.back().to == 1) {
    run = axes.back().extent;
    axes = axes.first(axes.size() - 1);
  }
  copy_runs(axes, size, static_cast<std::size_t>(run * size), x + box.from * size, y + box.to * size);
}

/// Runs a map over the samples of a tile.
class MapRun {
 public:
  MapRun(const ElementMap& map, std::vector<Shape> in, const Shape& out, std::int64_t images, std::int64_t size)
      : map_(map), in_(std::move(in)), out_(out), images_(images), size_(size) {}

  /// input(i): the tensor of input i.
  template <class Input>
  void run(const Input& input, std::byte* y) const {
    for (std::int64_t n = 0; n < images_; ++n, y += out_.size() * size_) {
      for (const ElementMap::Box& box : map_.boxes) {
        const auto which = static_cast<std::size_t>(box.input);
        copy_box(box, size_, input(which) + n * in_[which].size() * size_, y);
      }
    }
  }

 private:
  const ElementMap& map_;
  const std::vector<Shape> in_;
  const Shape out_;
  const std::int64_t images_, size_;
};

const ElementMap& map_of(const Node& node) {
  return std::get<FloatMove>(node.what).map;
}

class FloatMoveStep : public FloatStep {
 public:
  FloatMoveStep(const Node& node, std::span<const Shape> in, std::int64_t images)
      : map_(map_of(node), {in.begin(), in.end()}, node.shape, images, sizeof(float)),
        view_bytes_(map_of(node).identity() ? static_cast<std::size_t>(images * node.shape.size()) * sizeof(float)
                                            : 0) {}
  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    if (view_bytes_ > 0 && y != inputs[0]) std::memcpy(y, inputs[0], view_bytes_);
    map_.run([&](std::size_t i) { return reinterpret_cast<const std::byte*>(inputs[i]); },
             reinterpret_cast<std::byte*>(y));
  }

 private:
  const MapRun map_;
  const std::size_t view_bytes_;  ///< of an identity, which has its place like any other node
};

class MoveStep : public TileStep {
 public:
  MoveStep(const ElementMap& map, std::vector<Shape> in, const Shape& out, std::int64_t images, std::int64_t size)
      : map_(map, std::move(in), out, images, size) {}
  void run(const Tensors& at) const override {
    map_.run([&](std::size_t i) { return at.in<std::byte>(i); }, at.output);
  }

 private:
  const MapRun map_;
};

}  // namespace

const FloatFacet cpu_facets::move = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatMoveStep>(node, in, images);
    },
    .in_place = [](const Node& node) { return map_of(node).identity(); }};

std::unique_ptr<TileStep> cpu_facets::tile_move(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  std::vector<Shape> in;
  for (const int input : node.inputs) in.push_back(network.at(input).shape);
  return std::make_unique<MoveStep>(std::get<IntMove>(node.what).map, std::move(in), node.shape, images,
                                    network.half() ? 2 : 1);
}

}  // namespace qnudge
