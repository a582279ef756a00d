// SPDX-License-Identifier: MIT
#include <algorithm>
#include <limits>
#include <vector>

#include "host/cpu/elementwise_loops.hpp"
#include "host/cpu/primitives.hpp"
#include "quant_multipliers.hpp"

namespace qnudge {
namespace {

/// One output position of a pooling: y[c] over the window's taps inside the image.
void pool_position(const FloatWindow& pool, const Shape& in, const float* image, std::int64_t y0, std::int64_t x0,
                   float* y) {
  const bool largest = pool.kind == WindowKind::max;
  std::fill_n(y, in.c, largest ? -std::numeric_limits<float>::infinity() : 0.0f);
  const Window& w = pool.window;
  for (std::int64_t r = 0; r < w.r; ++r) {
    const std::int64_t iy = y0 + r * w.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < w.s; ++s) {
      const std::int64_t ix = x0 + s * w.dilation_w;
      if (ix < 0 || ix >= in.w) continue;
      const float* tap = image + (iy * in.w + ix) * in.c;
      if (largest) {
        for (std::int64_t c = 0; c < in.c; ++c) y[c] = std::max(tap[c], y[c]);
      } else {
        for (std::int64_t c = 0; c < in.c; ++c) y[c] += tap[c];
      }
    }
  }
  if (pool.kind != WindowKind::average) return;
  const auto count = static_cast<float>(pool_divisor(w, pool.count_include_pad, in, y0, x0));
  for (std::int64_t c = 0; c < in.c; ++c) y[c] /= count;
}

class FloatWindowStep : public FloatStep {
 public:
  FloatWindowStep(const Node& node, const Shape& in, std::int64_t images)
      : pool_(std::get<FloatWindow>(node.what)), in_(in), out_(node.shape), images_(images) {}

  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    const Window& w = pool_.window;
    for (std::int64_t i = 0; i < images_; ++i) {
      for (std::int64_t oy = 0; oy < out_.h; ++oy) {
        for (std::int64_t ox = 0; ox < out_.w; ++ox, y += in_.c) {
          pool_position(pool_, in_, inputs[0] + i * in_.size(), oy * w.stride_h - w.pad_top,
                        ox * w.stride_w - w.pad_left, y);
        }
      }
    }
  }

 private:
  const FloatWindow& pool_;
  const Shape in_, out_;
  const std::int64_t images_;
};

template <class T>
class WindowStep : public TileStep {
 public:
  WindowStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : pool_(std::get<IntWindow>(node.what)),
        in_(network.at(node.inputs[0]).shape),
        out_(node.shape),
        multipliers_(pool_multipliers(network, node)),
        count_(images * node.shape.size()) {}

  void run(const Tensors& at) const override {
    if (pool_.kind == WindowKind::max) {
      return run_pool(MaxPoolCodes<T>{at.in<T>(0), at.out<T>(), in_, out_, pool_.window}, count_);
    }
    run_pool(AveragePoolCodes<T>{at.in<T>(0), at.out<T>(), in_, out_, pool_.window, pool_.multiplier,
                                 multipliers_.empty() ? nullptr : multipliers_.data()},
             count_);
  }

 private:
  const IntWindow pool_;
  const Shape in_, out_;
  const std::vector<float> multipliers_;  // where the divisor varies
  const std::int64_t count_;
};

}  // namespace

const FloatFacet cpu_facets::window = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatWindowStep>(node, in[0], images);
    }};

std::unique_ptr<TileStep> cpu_facets::tile_window(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  return tile_step<WindowStep>(network, node, images);
}

}  // namespace qnudge
