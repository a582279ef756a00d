// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "qnudge/model/primitives.hpp"

/// Linear interpolation from ONNX's description of Resize, NHWC, one sample.
namespace qnudge::test {

/// Where output element `o` lies in its input. Real: float for the places that runtimes compute, or double.
template <class Real>
Real naive_place(ResizeCoordinates coordinates, std::int64_t o, std::int64_t in, std::int64_t out, float by) {
  const auto x = static_cast<Real>(o), original = static_cast<Real>(in), resized = static_cast<Real>(out);
  const auto scale = static_cast<Real>(by), half = static_cast<Real>(0.5);
  Real place = (x + half) / scale - half;
  if (coordinates == ResizeCoordinates::asymmetric) place = x / scale;
  if (coordinates == ResizeCoordinates::align_corners) place = out == 1 ? 0 : x * (original - 1) / (resized - 1);
  if (coordinates == ResizeCoordinates::pytorch_half_pixel && out == 1) place = 0;
  if (coordinates == ResizeCoordinates::half_pixel_symmetric) {
    const Real adjustment = resized / (scale * original);
    place = original / 2 * (1 - adjustment) + (x + half) / scale - half;
  }
  return std::clamp<Real>(place, 0, original - 1);
}

/// weight(part) for the second neighbour and one - weight(part) for the first, in both directions; sums of the four
/// products.
template <class Sum, class Real, class Values, class Weight>
std::vector<Sum> naive_mix(const FloatMix& what, const Shape& in, const Shape& out, const Values& x, Sum one,
                           const Weight& weight) {
  std::vector<Sum> sums;
  for (std::int64_t y = 0; y < out.h; ++y) {
    for (std::int64_t z = 0; z < out.w; ++z) {
      const Real row = naive_place<Real>(what.coordinates, y, in.h, out.h, what.scale_h);
      const Real column = naive_place<Real>(what.coordinates, z, in.w, out.w, what.scale_w);
      for (std::int64_t c = 0; c < out.c; ++c) {
        Sum sum = 0;
        for (const int down : {0, 1}) {
          for (const int right : {0, 1}) {
            const std::int64_t iy = std::min(static_cast<std::int64_t>(std::floor(row)) + down, in.h - 1);
            const std::int64_t iz = std::min(static_cast<std::int64_t>(std::floor(column)) + right, in.w - 1);
            const Sum v = weight(row - std::floor(row)), h = weight(column - std::floor(column));
            sum += (down == 1 ? v : one - v) * (right == 1 ? h : one - h) *
                   static_cast<Sum>(x.at(static_cast<std::size_t>((iy * in.w + iz) * in.c + c)));
          }
        }
        sums.push_back(sum);
      }
    }
  }
  return sums;
}

/// In real numbers.
inline std::vector<double> real_mix(const FloatMix& what, const Shape& in, const Shape& out,
                                    const std::vector<double>& x) {
  return naive_mix<double, double>(what, in, out, x, 1.0, [](double part) { return part; });
}

/// Of codes, or of halves in double: sums over weights in units of 2^-11, times 2^-22.
template <class Values>
std::vector<double> naive_mix_fixed(const FloatMix& what, const Shape& in, const Shape& out, const Values& x) {
  return naive_mix<double, float>(what, in, out, x, 1.0,
                                  [](float part) { return std::nearbyint(static_cast<double>(part) * 2048) / 2048; });
}

}  // namespace qnudge::test
