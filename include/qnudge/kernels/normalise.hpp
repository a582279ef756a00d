// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/strided.hpp"
#include "qnudge/quant/softmax_bits.hpp"

namespace qnudge {

/// Codes of one image in groups that are normalised together: blocks of [h, w, c] elements that tile [H, W, C]. A
/// pixel's channels are {1, 1, C} (LayerNormalization over features, Softmax over classes), a channel is {H, W, 1}
/// (InstanceNormalization), a group of channels {H, W, C / G}.
struct NormGroups {
  Extents extents;       ///< of the tensor
  std::int64_t h, w, c;  ///< of a block

  QNUDGE_HOST_DEVICE std::int64_t size() const { return h * w * c; }  ///< elements of one group
  QNUDGE_HOST_DEVICE std::int64_t per_image() const { return extents.size() / size(); }
  /// First element of group g, counted over images, block rows, block columns, candidates, block channels.
  QNUDGE_HOST_DEVICE Place first(std::int64_t g) const {
    const std::int64_t blocks_c = extents.c / c, blocks_w = extents.w / w, blocks_h = extents.h / h;
    const std::int64_t bc = g % blocks_c, p = g / blocks_c % extents.p, bx = g / (blocks_c * extents.p) % blocks_w;
    const std::int64_t rows = g / (blocks_c * extents.p * blocks_w);
    return {rows / blocks_h, rows % blocks_h * h, bx * w, p, bc * c};
  }
  /// Calls f(place) for every element of group g.
  template <class F>
  QNUDGE_HOST_DEVICE void for_each(std::int64_t g, const F& f) const {
    const Place from = first(g);
    for (std::int64_t y = 0; y < h; ++y) {
      for (std::int64_t x = 0; x < w; ++x) {
        for (std::int64_t e = 0; e < c; ++e) f(Place{from.n, from.y + y, from.x + x, from.p, from.c + e});
      }
    }
  }
};

/// Rounds to even and clamps; for values whose magnitude may be anything but not NaN.
template <class T>
QNUDGE_HOST_DEVICE T nearest_double(double v, typename Activation<T>::Bound low, typename Activation<T>::Bound high);

template <>
QNUDGE_HOST_DEVICE std::int8_t nearest_double<std::int8_t>(double v, std::int32_t low, std::int32_t high) {
  if (!(v > low)) return static_cast<std::int8_t>(low);
  if (v >= high) return static_cast<std::int8_t>(high);
  constexpr double kMagic = 6755399441055744.0;  // 1.5 * 2^52: its last bit counts ones
  return static_cast<std::int8_t>((v + kMagic) - kMagic);
}
template <>
QNUDGE_HOST_DEVICE Half nearest_double<Half>(double v, float low, float high) {
  return Activation<Half>::nearest(static_cast<float>(v), low, high);
}

/// What is summed before an element is normalised: integers for codes, exact in any order; doubles for halves.
template <class T>
struct NormSum;
template <>
struct NormSum<std::int8_t> {
  using Type = std::int64_t;
};
template <>
struct NormSum<Half> {
  using Type = double;
};

/// Moments of a group: y = (x - mean) / sqrt(variance + epsilon) * gain[c] + shift[c]. Everything up to the root is an
/// integer: with S = sum x, Q = sum x^2 of n elements, n^2 * variance = n * Q - S^2, so
///
///   y = (n x - S) / sqrt(n Q - S^2 + n^2 epsilon / s_x^2) * gain[c] + shift[c]
///
/// one correctly rounded root, one quotient, one product, one sum in double, and one rounding to the code. n <= 2^22
/// keeps n * Q below 2^60. Without `centred` S is taken as 0: the root mean square.
template <class T>
struct NormaliseMoments {
  using A = Activation<T>;
  using Sum = typename NormSum<T>::Type;
  const T* x;
  T* code;  ///< may be x
  NormGroups groups;
  Strides at_x, at_code;
  bool centred;
  double epsilon;       ///< n^2 * epsilon / s_x^2
  const double* gain;   ///< [C]: by the output's scale
  const double* shift;  ///< [C]
  typename A::Bound low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t g) const {
    const auto n = static_cast<Sum>(groups.size());
    Sum sum = 0, squares = 0;
    groups.for_each(g, [&](const Place& i) {
      const auto v = static_cast<Sum>(A::value(x[at_x.at(i)]));
      sum += v;
      squares += v * v;
    });
    if (!centred) sum = 0;
    const double root = sqrt(static_cast<double>(n * squares - sum * sum) + epsilon);
    groups.for_each(g, [&](const Place& i) {
      const auto v = static_cast<Sum>(A::value(x[at_x.at(i)]));
      const double centre = static_cast<double>(n * v - sum);
      const double unit = root > 0.0 ? centre / root : 0.0;
      code[at_code.at(i)] = nearest_double<T>(unit * gain[i.c] + shift[i.c], low, high);
    });
  }
};

/// Softmax over a group: e[d] = exp(-d * s_x) as an integer of 30 fractional bits (`table`, rounded once when the
/// network is prepared), d the distance of a code from the group's largest. code = e * 2^bits / sum, one division of
/// integers, rounded half to even, at most 127; 2^-bits is the output's scale.
struct SoftmaxCodes {
  const std::int8_t* x;
  std::int8_t* code;  ///< may be x
  NormGroups groups;
  Strides at_x, at_code;
  const std::int32_t* table;  ///< [256], table[0] = 2^30
  std::int32_t bits;          ///< kSoftmaxLeastBits to kSoftmaxMostBits

  QNUDGE_HOST_DEVICE void operator()(std::int64_t g) const {
    std::int32_t largest = -128;
    groups.for_each(g, [&](const Place& i) {
      const std::int32_t v = x[at_x.at(i)];
      largest = v > largest ? v : largest;
    });
    std::int64_t sum = 0;
    groups.for_each(g, [&](const Place& i) { sum += table[largest - x[at_x.at(i)]]; });
    groups.for_each(g, [&](const Place& i) { code[at_code.at(i)] = share(table[largest - x[at_x.at(i)]], sum); });
  }
  /// The code of exponential e among `sum`.
  QNUDGE_HOST_DEVICE std::int8_t share(std::int32_t e, std::int64_t sum) const {
    const std::int64_t scaled = static_cast<std::int64_t>(e) << (bits > 0 ? bits : 0);
    const std::int64_t whole = sum << (bits < 0 ? -bits : 0);
    std::int64_t quotient = scaled / whole;
    const std::int64_t twice = 2 * (scaled % whole);
    if (twice > whole || (twice == whole && quotient % 2 != 0)) ++quotient;
    return static_cast<std::int8_t>(quotient < 127 ? quotient : 127);
  }
};

/// Softmax of halves in units of `scale`: an exponential in fp32 whose bits are the machine's own, as sums of halves
/// are; code = exp((x - largest) * scale) / sum * unit.
struct SoftmaxHalves {
  const Half* x;
  Half* code;
  NormGroups groups;
  Strides at_x, at_code;
  float scale, unit;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t g) const {
    float largest = -kLargestHalf, sum = 0;
    groups.for_each(g, [&](const Place& i) {
      const float v = to_float(x[at_x.at(i)]);
      largest = v > largest ? v : largest;
    });
    groups.for_each(g, [&](const Place& i) { sum += expf((to_float(x[at_x.at(i)]) - largest) * scale); });
    groups.for_each(g, [&](const Place& i) {
      const float e = expf((to_float(x[at_x.at(i)]) - largest) * scale);
      code[at_code.at(i)] = Activation<Half>::nearest(e / sum * unit, 0.0f, kLargestHalf);
    });
  }
};

}  // namespace qnudge
