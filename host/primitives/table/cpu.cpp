// SPDX-License-Identifier: MIT
#include <algorithm>
#include <optional>
#include <type_traits>
#include <vector>

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

/// A function for each channel.
class FloatChannelStep : public FloatStep {
 public:
  FloatChannelStep(const Node& node, std::int64_t images)
      : pixels_(static_cast<std::size_t>(images * node.shape.h * node.shape.w)) {
    const auto& table = std::get<FloatTable>(node.what);
    for (std::size_t c = 0; c < static_cast<std::size_t>(node.shape.c); ++c) {
      functions_.push_back(table.function.of_channel(table.parameters, c));
    }
  }

  std::size_t scratch_bytes() const override { return pixels_ * sizeof(float); }
  void run(std::span<const float* const> inputs, float* y, std::byte* scratch) const override {
    const std::span<float> values(reinterpret_cast<float*>(scratch), pixels_);
    const std::size_t channels = functions_.size();
    for (std::size_t c = 0; c < channels; ++c) {
      for (std::size_t i = 0; i < pixels_; ++i) values[i] = inputs[0][i * channels + c];
      functions_[c].apply(values, values);
      for (std::size_t i = 0; i < pixels_; ++i) y[i * channels + c] = values[i];
    }
  }

 private:
  const std::size_t pixels_;
  std::vector<ScalarFunction> functions_;
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
const T* values(const IntTable& table) {
  if constexpr (std::is_same_v<T, Half>) {
    return table.halves.data();
  } else {
    return table.codes.data();
  }
}

template <class T>
class LookupStep : public TileStep {
 public:
  LookupStep(const IntNetwork&, const IntNode& node, std::int64_t images)
      : table_(std::get<IntTable>(node.what)), count_(images * node.shape.size()) {}
  void run(const Tensors& at) const override {
    run_range(LookupCodes<T>{at.in<T>(0), values<T>(table_), at.out<T>()}, count_);
  }

 private:
  const IntTable& table_;
  const std::int64_t count_;
};

template <class T>
class LookupChannelStep : public TileStep {
 public:
  LookupChannelStep(const IntNetwork&, const IntNode& node, std::int64_t images)
      : table_(std::get<IntTable>(node.what)), rows_(images * node.shape.h * node.shape.w), channels_(node.shape.c) {}
  void run(const Tensors& at) const override {
    const T* x = at.in<T>(0);
    T* y = at.out<T>();
    for (std::int64_t row = 0; row < rows_; ++row, x += channels_, y += channels_) {
      const T* table = values<T>(table_);
      for (std::int64_t c = 0; c < channels_; ++c, table += Activation<T>::kTableSize) {
        y[c] = table[Activation<T>::table_index(x[c])];
      }
    }
  }

 private:
  const IntTable& table_;
  const std::int64_t rows_, channels_;
};

}  // namespace

const FloatFacet cpu_facets::table = {
    .prepare = [](const Node& node, std::span<const Shape>, std::int64_t images) -> std::unique_ptr<FloatStep> {
      if (!std::get<FloatTable>(node.what).parameters.empty()) return std::make_unique<FloatChannelStep>(node, images);
      return std::make_unique<FloatTableStep>(node, images);
    },
    .in_place = [](const Node&) { return true; }};

std::unique_ptr<TileStep> cpu_facets::tile_table(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  const auto& table = std::get<IntTable>(node.what);
  if (!table.parameters.empty()) return tile_step<LookupChannelStep>(network, node, images);
  return table.function.is_identity() ? tile_step<ClampStep>(network, node, images)
                                      : tile_step<LookupStep>(network, node, images);
}

}  // namespace qnudge
