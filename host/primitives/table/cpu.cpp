// SPDX-License-Identifier: MIT
#include <algorithm>
#include <optional>
#include <type_traits>

#include "host/cpu/elementwise_loops.hpp"
#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"
#include "qnudge/backend/element.hpp"

namespace qnudge {
namespace {

QNUDGE_VECTOR_LEVELS void clip(const float* x, std::int64_t count, float low, float high, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) y[i] = std::min(std::max(x[i], low), high);
}

class FloatTableStep : public FloatStep {
 public:
  FloatTableStep(const Node& node, std::int64_t images)
      : function_(std::get<FloatTable>(node.what).function),
        bounds_(function_.bounds()),
        count_(images * node.shape.size()) {}

  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    if (bounds_) {
      return clip(inputs[0], count_, static_cast<float>(bounds_->low), static_cast<float>(bounds_->high), y);
    }
    const auto count = static_cast<std::size_t>(count_);
    function_.apply({inputs[0], count}, {y, count});
  }

 private:
  const ScalarFunction& function_;
  const std::optional<ScalarFunction::Bounds> bounds_;
  const std::int64_t count_;
};

template <class T>
class ClampStep : public TileStep {
 public:
  ClampStep(const IntNetwork&, const IntNode& node, std::int64_t images)
      : bounds_(element_bounds<T>(node)), count_(images * node.shape.size()) {}
  void run(const Tensors& at) const override {
    run_range(ClampCodes<T>{at.in<T>(0), at.out<T>(), bounds_.low, bounds_.high}, count_);
  }

 private:
  const ElementBounds<T> bounds_;
  const std::int64_t count_;
};

template <class T>
class LookupStep : public TileStep {
 public:
  LookupStep(const IntNetwork&, const IntNode& node, std::int64_t images)
      : table_(std::get<IntTable>(node.what)), count_(images * node.shape.size()) {}
  void run(const Tensors& at) const override {
    if constexpr (std::is_same_v<T, Half>) {
      run_range(LookupCodes<T>{at.in<T>(0), table_.halves.data(), at.out<T>()}, count_);
    } else {
      run_range(LookupCodes<T>{at.in<T>(0), table_.codes.data(), at.out<T>()}, count_);
    }
  }

 private:
  const IntTable& table_;
  const std::int64_t count_;
};

}  // namespace

const FloatFacet cpu_facets::table = {
    .prepare = [](const Node& node, std::span<const Shape>, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatTableStep>(node, images);
    },
    .in_place = [](const Node&) { return true; }};

std::unique_ptr<TileStep> cpu_facets::tile_table(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  const bool clamps = std::get<IntTable>(node.what).function.is_identity();
  return clamps ? tile_step<ClampStep>(network, node, images) : tile_step<LookupStep>(network, node, images);
}

}  // namespace qnudge
