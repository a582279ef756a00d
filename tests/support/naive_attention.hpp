// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/quant/network.hpp"

/// Products and normalisations straight from their definitions, NHWC, one sample.
namespace qnudge::test {

/// sum over k of a[b, i, k] * b[b, k, j] for every element of the product.
template <class Sum, class T>
std::vector<Sum> naive_product(const FloatProduct& what, const Shape& a, const Shape& b, std::span<const T> u,
                               std::span<const T> v) {
  const std::int64_t rows = a.h * a.w / what.batch, others = b.h * b.w / what.batch;
  const std::int64_t columns = what.b_rows ? others : b.c;
  std::vector<Sum> out;
  for (std::int64_t n = 0; n < what.batch; ++n) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) {
        Sum sum = 0;
        for (std::int64_t k = 0; k < a.c; ++k) {
          const std::int64_t at = what.b_rows ? (n * others + j) * b.c + k : (n * others + k) * b.c + j;
          sum += static_cast<Sum>(u[static_cast<std::size_t>((n * rows + i) * a.c + k)]) *
                 static_cast<Sum>(v[static_cast<std::size_t>(at)]);
        }
        out.push_back(sum);
      }
    }
  }
  return out;
}

/// The elements of every group.
inline std::vector<std::vector<std::size_t>> naive_groups(const FloatNormalise& what, const Shape& s) {
  const std::int64_t blocks = s.c / what.channels;
  std::vector<std::vector<std::size_t>> groups(static_cast<std::size_t>(what.area ? blocks : s.h * s.w));
  for (std::int64_t i = 0; i < s.size(); ++i) {
    const std::int64_t group = what.area ? i % s.c / what.channels : i / s.c;
    groups[static_cast<std::size_t>(group)].push_back(static_cast<std::size_t>(i));
  }
  return groups;
}

/// Of reals.
inline std::vector<double> naive_normalise(const FloatNormalise& what, const Shape& shape,
                                           const std::vector<double>& x) {
  std::vector<double> y(x.size());
  for (const std::vector<std::size_t>& group : naive_groups(what, shape)) {
    double sum = 0, mean = 0, square = 0;
    for (const std::size_t i : group) {
      sum += std::exp(x[i]);
      mean += x[i] / static_cast<double>(group.size());
    }
    if (what.kind == NormaliseKind::root_mean_square) mean = 0;
    for (const std::size_t i : group) square += (x[i] - mean) * (x[i] - mean) / static_cast<double>(group.size());
    for (const std::size_t i : group) {
      const std::size_t c = i % static_cast<std::size_t>(shape.c);
      const double root = std::sqrt(square + static_cast<double>(what.epsilon));
      y[i] = what.kind == NormaliseKind::softmax
                 ? std::exp(x[i]) / sum
                 : (root > 0 ? (x[i] - mean) / root : 0.0) * static_cast<double>(what.gain[c]) +
                       static_cast<double>(what.shift[c]);
    }
  }
  return y;
}

/// Of halves in units of 2^in_exponent, see kernels/normalise.hpp; the results in units of the node's, not yet rounded.
inline std::vector<float> naive_normalise_halves(const IntNode& node, int in_exponent, const std::vector<double>& x) {
  const FloatNormalise& n = std::get<IntNormalise>(node.what).normalise;
  std::vector<float> y(x.size());
  for (const std::vector<std::size_t>& group : naive_groups(n, node.shape)) {
    const auto size = static_cast<double>(group.size());
    float largest = -kLargestHalf, exponentials = 0;
    double sum = 0, squares = 0;
    for (const std::size_t i : group) {
      largest = std::max(largest, static_cast<float>(x[i]));
      sum += x[i];
      squares += x[i] * x[i];
    }
    const auto exponential = [&](std::size_t i) {
      return std::exp((static_cast<float>(x[i]) - largest) * std::ldexp(1.0f, in_exponent));
    };
    for (const std::size_t i : group) exponentials += exponential(i);
    if (n.kind == NormaliseKind::root_mean_square) sum = 0;
    const double epsilon = std::ldexp(size * size * static_cast<double>(n.epsilon), -2 * in_exponent);
    const double root = std::sqrt(size * squares - sum * sum + epsilon);
    for (const std::size_t i : group) {
      const std::size_t c = i % static_cast<std::size_t>(node.shape.c);
      if (n.kind == NormaliseKind::softmax) {
        y[i] = exponential(i) / exponentials * std::ldexp(1.0f, -node.exponent);
        continue;
      }
      const double unit = root > 0 ? (size * x[i] - sum) / root : 0.0;
      y[i] = static_cast<float>(unit * std::ldexp(static_cast<double>(n.gain[c]), -node.exponent) +
                                std::ldexp(static_cast<double>(n.shift[c]), -node.exponent));
    }
  }
  return y;
}

/// Of codes, see kernels/normalise.hpp.
inline std::vector<std::int8_t> naive_normalise_codes(const IntNode& node, int in_exponent,
                                                      std::span<const std::int8_t> x) {
  const IntNormalise& what = std::get<IntNormalise>(node.what);
  const FloatNormalise& n = what.normalise;
  std::vector<std::int8_t> y(x.size());
  for (const std::vector<std::size_t>& group : naive_groups(n, node.shape)) {
    const auto size = static_cast<std::int64_t>(group.size());
    int largest = -128;
    std::int64_t sum = 0, squares = 0, exponentials = 0;
    for (const std::size_t i : group) {
      largest = std::max<int>(largest, x[i]);
      sum += x[i];
      squares += std::int64_t{x[i]} * x[i];
    }
    if (n.kind == NormaliseKind::root_mean_square) sum = 0;
    for (const std::size_t i : group) {
      exponentials +=
          n.kind == NormaliseKind::softmax ? what.exponentials.at(static_cast<std::size_t>(largest - x[i])) : 0;
    }
    const double epsilon =
        std::ldexp(static_cast<double>(size * size) * static_cast<double>(n.epsilon), -2 * in_exponent);
    const double root = std::sqrt(static_cast<double>(size * squares - sum * sum) + epsilon);
    for (const std::size_t i : group) {
      const std::size_t c = i % static_cast<std::size_t>(node.shape.c);
      if (n.kind == NormaliseKind::softmax) {
        const auto e = static_cast<long double>(what.exponentials.at(static_cast<std::size_t>(largest - x[i])));
        const long double share = std::ldexp(e, -node.exponent) / static_cast<long double>(exponentials);
        y[i] = static_cast<std::int8_t>(std::min(127.0L, std::nearbyint(share)));
        continue;
      }
      const double unit = root > 0 ? static_cast<double>(size * x[i] - sum) / root : 0.0;
      const double v = unit * std::ldexp(static_cast<double>(n.gain[c]), -node.exponent) +
                       std::ldexp(static_cast<double>(n.shift[c]), -node.exponent);
      y[i] = static_cast<std::int8_t>(
          std::clamp(std::nearbyint(v), static_cast<double>(node.low), static_cast<double>(node.high)));
    }
  }
  return y;
}

}  // namespace qnudge::test
