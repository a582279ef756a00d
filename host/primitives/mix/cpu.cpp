// SPDX-License-Identifier: MIT
#include <cstdint>
#include <type_traits>
#include <vector>

#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"
#include "model_onnx.hpp"
#include "qnudge/kernels/mix.hpp"
#include "quant_taps.hpp"

namespace qnudge {
namespace {

class FloatMixStep : public FloatStep {
 public:
  FloatMixStep(const Node& node, const Shape& in, std::int64_t images) : in_(in), images_(images) {
    const auto axes = mix_axes(std::get<FloatMix>(node.what), in);
    rows_ = resize_neighbours(axes->rows);
    columns_ = resize_neighbours(axes->columns);
  }

  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    for (std::int64_t i = 0; i < images_; ++i) {
      const float* const image = inputs[0] + i * in_.size();
      for (const ResizeNeighbours& row : rows_) {
        const float* const above = image + row.first * in_.w * in_.c;
        const float* const below = image + row.second * in_.w * in_.c;
        for (const ResizeNeighbours& column : columns_) {
          const std::int64_t left = column.first * in_.c, right = column.second * in_.c;
          for (std::int64_t c = 0; c < in_.c; ++c, ++y) {
            const float top = above[left + c] * (1 - column.part) + above[right + c] * column.part;
            const float bottom = below[left + c] * (1 - column.part) + below[right + c] * column.part;
            *y = top * (1 - row.part) + bottom * row.part;
          }
        }
      }
    }
  }

 private:
  const Shape in_;
  const std::int64_t images_;
  std::vector<ResizeNeighbours> rows_, columns_;
};

/// `count` exact sums of two codes.
QNUDGE_VECTOR_LEVELS void mix_rows(const std::int8_t* above, const std::int8_t* below, const ResizeTap& tap,
                                   std::int64_t count, std::int32_t* sums) {
  const std::int32_t a = tap.weight_first, b = tap.weight_second;
  for (std::int64_t i = 0; i < count; ++i) sums[i] = above[i] * a + below[i] * b;
}

/// One row of the output from the sums of its two rows.
QNUDGE_VECTOR_LEVELS void mix_columns(const std::int32_t* sums, const std::vector<ResizeTap>& columns, std::int64_t c,
                                      std::int8_t* code) {
  for (const ResizeTap& column : columns) {
    const std::int32_t *left = sums + column.first * c, *right = sums + column.second * c;
    const std::int32_t a = column.weight_first, b = column.weight_second;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < c; ++i) {
      code[i] = static_cast<std::int8_t>(rounded_shift(left[i] * a + right[i] * b, 2 * kResizeBits));
    }
    code += c;
  }
}

template <class T>
class MixStep : public TileStep {
 public:
  MixStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : in_(network.at(node.inputs[0]).shape), out_(node.shape), taps_(mix_taps(network, node)), images_(images) {}

  void run(const Tensors& at) const override {
    if constexpr (std::is_same_v<T, std::int8_t>) {
      run_rows(at.in<T>(0), at.out<T>());
    } else {
      const ResizeCodes<T> op{at.in<T>(0),       at.out<T>(),
                              Extents::of(out_), Strides::dense(Extents::of(in_)),
                              taps_.rows.data(), taps_.columns.data()};
      for (std::int64_t i = 0; i < images_ * out_.size(); ++i) op(i);
    }
  }

 private:
  /// The functor's sums, rows first: exact in any order.
  void run_rows(const std::int8_t* x, std::int8_t* code) const {
    const std::int64_t row = in_.w * in_.c;
    std::vector<std::int32_t> sums(static_cast<std::size_t>(row));
    for (std::int64_t n = 0; n < images_; ++n, x += in_.size()) {
      for (const ResizeTap& tap : taps_.rows) {
        mix_rows(x + tap.first * row, x + tap.second * row, tap, row, sums.data());
        mix_columns(sums.data(), taps_.columns, in_.c, code);
        code += out_.w * out_.c;
      }
    }
  }

  const Shape in_, out_;
  const MixTaps taps_;
  const std::int64_t images_;
};

}  // namespace

const FloatFacet cpu_facets::mix = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatMixStep>(node, in[0], images);
    }};

std::unique_ptr<TileStep> cpu_facets::tile_mix(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  return tile_step<MixStep>(network, node, images);
}

}  // namespace qnudge
