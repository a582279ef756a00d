// SPDX-License-Identifier: MIT
#include "host/cpu/onednn_float.hpp"
#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"

namespace qnudge {
namespace {

ConvProblem problem_of(const Node& node, const Shape& in, std::int64_t images) {
  const FloatLayer& layer = *node.layer();
  ConvProblem p;
  p.n = images;
  p.in = layer.gemm ? Shape{layer.filter.r, layer.filter.s, layer.filter.c} : in;  // a view of the same data
  p.out = node.shape;
  p.conv = layer.conv;
  p.conv.window.r = layer.filter.r;
  p.conv.window.s = layer.filter.s;
  p.filter = layer.filter;
  return p;
}

class LayerStep : public FloatStep {
 public:
  LayerStep(const Node& node, const Shape& in, std::int64_t images)
      : convolution_(problem_of(node, in, images), node.layer()->weights.data(), node.layer()->bias.data()) {}
  std::size_t scratch_bytes() const override { return convolution_.scratch_bytes(); }
  void run(std::span<const float* const> inputs, float* y, std::byte* scratch) const override {
    convolution_.run(inputs[0], y, scratch);
  }

 private:
  const FloatConvolution convolution_;
};

QNUDGE_VECTOR_LEVELS void scale_and_shift(const float* scale, const float* shift, std::int64_t positions,
                                          std::int64_t channels, const float* x, float* y) {
  for (std::int64_t p = 0; p < positions; ++p) {
#pragma GCC ivdep  // y is x or does not overlap it
    for (std::int64_t c = 0; c < channels; ++c) y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
  }
}

class BatchNormStep : public FloatStep {
 public:
  BatchNormStep(const Node& node, std::int64_t images) : node_(node), images_(images) {}
  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    const auto& norm = std::get<FloatBatchNorm>(node_.what);
    const Shape& shape = node_.shape;
    scale_and_shift(norm.scale.data(), norm.shift.data(), images_ * shape.h * shape.w, shape.c, inputs[0], y);
  }

 private:
  const Node& node_;
  const std::int64_t images_;
};

}  // namespace

const FloatFacet cpu_facets::layer = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<LayerStep>(node, in[0], images);
    }};

const FloatFacet cpu_facets::batch_norm = {
    .prepare = [](const Node& node, std::span<const Shape>, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<BatchNormStep>(node, images);
    },
    .in_place = [](const Node&) { return true; }};

}  // namespace qnudge
