// SPDX-License-Identifier: MIT
#include "onednn_float.hpp"

#include "conv_shape.hpp"

namespace qnudge {

FloatConvolution::FloatConvolution(const ConvProblem& problem, const float* weights, const float* bias)
    : weights_(weights), bias_(bias), problem_(simplified(problem)), spread_(problem_) {
  check_problem(problem_, ConvMode::accumulator, {});
  if (!spread_.possible()) return;
  OneDnnSpec spec;
  spec.problem = spread_.applied(problem_);
  spec.bias = OneDnnSpec::Type::f32;
  convolution_ = OneDnnConvolution::create(spec);
  if (!convolution_) return;
  packed_ = AlignedBuffer(convolution_->packed_bytes());
  const AlignedBuffer scratch(convolution_->scratch_bytes());
  convolution_->pack(weights, packed_.data(), scratch.data());
}

std::size_t FloatConvolution::scratch_bytes() const {
  if (!convolution_) return 0;
  const std::size_t spread = spread_.needed() ? spread_.elements() * sizeof(float) : 0;
  return convolution_->scratch_bytes() + AlignedBuffer::round_up(spread);
}

void FloatConvolution::run(const float* x, float* y, std::byte* scratch) const {
  if (!convolution_) return run_plain(x, y);
  if (spread_.needed()) {
    auto* spread = reinterpret_cast<float*>(scratch + convolution_->scratch_bytes());
    spread_.fill(x, spread);
    x = spread;
  }
  convolution_->run(x, packed_.data(), bias_, y, scratch);
}

void FloatConvolution::run_plain(const float* x, float* y) const {
  const FilterShape& f = problem_.filter;
  const Shape& in = problem_.in;
  const std::int64_t positions = problem_.n * problem_.out.h * problem_.out.w;
  for (std::int64_t i = 0; i < positions * f.k; ++i) {
    const std::int64_t k = i % f.k, ox = i / f.k % problem_.out.w, oy = i / (f.k * problem_.out.w) % problem_.out.h;
    const float* image = x + i / (f.k * problem_.out.w * problem_.out.h) * in.size();
    const std::int64_t c0 = k / (f.k / problem_.conv.groups) * f.c;
    double sum = bias_[k];
    for (std::int64_t tap = 0; tap < f.taps(); ++tap) {
      const std::int64_t iy = input_row(problem_, oy, tap / (f.s * f.c));
      const std::int64_t ix = input_column(problem_, ox, tap / f.c % f.s);
      if (iy < 0 || ix < 0) continue;
      sum += static_cast<double>(image[(iy * in.w + ix) * in.c + c0 + tap % f.c]) * weights_[k * f.taps() + tap];
    }
    y[i] = static_cast<float>(sum);
  }
}

}  // namespace qnudge
