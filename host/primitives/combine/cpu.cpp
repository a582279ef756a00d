// SPDX-License-Identifier: MIT
#include "host/cpu/elementwise_loops.hpp"
#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"
#include "qnudge/backend/element.hpp"

namespace qnudge {
namespace {

QNUDGE_VECTOR_LEVELS void add(const float* a, const float* b, std::int64_t count, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

class FloatCombineStep : public FloatStep {
 public:
  FloatCombineStep(const Node& node, std::int64_t images) : count_(images * node.shape.size()) {}
  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    add(inputs[0], inputs[1], count_, y);
  }

 private:
  const std::int64_t count_;
};

template <class T>
class CombineStep : public TileStep {
 public:
  CombineStep(const IntNetwork&, const IntNode& node, std::int64_t images)
      : combine_(std::get<IntCombine>(node.what)),
        bounds_(element_bounds<T>(node)),
        count_(images * node.shape.size()) {}
  void run(const Tensors& at) const override {
    run_range(AddCodes<T>{at.in<T>(0), at.in<T>(1), at.out<T>(), combine_.multiplier_a, combine_.multiplier_b,
                          bounds_.low, bounds_.high},
              count_);
  }

 private:
  const IntCombine combine_;
  const ElementBounds<T> bounds_;
  const std::int64_t count_;
};

}  // namespace

const FloatFacet cpu_facets::combine = {
    .prepare = [](const Node& node, std::span<const Shape>, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatCombineStep>(node, images);
    },
    .in_place = [](const Node&) { return true; }};

std::unique_ptr<TileStep> cpu_facets::tile_combine(const IntNetwork& network, const IntNode& node,
                                                   std::int64_t images) {
  return tile_step<CombineStep>(network, node, images);
}

}  // namespace qnudge
