// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "host/cpu/primitives.hpp"
#include "qnudge/backend/element.hpp"
#include "qnudge/kernels/normalise.hpp"
#include "quant_constants.hpp"

namespace qnudge {
namespace {

NormGroups groups_of(const FloatNormalise& what, const Shape& shape) {
  return {Extents::of(shape), what.area ? shape.h : 1, what.area ? shape.w : 1, what.channels};
}

/// One group of reals.
void normalise_group(const FloatNormalise& what, const NormGroups& groups, std::int64_t g, const float* x, float* y) {
  const Strides at = Strides::dense(groups.extents);
  double largest = -INFINITY, sum = 0, squares = 0;
  groups.for_each(g, [&](const Place& i) {
    const double v = x[at.at(i)];
    largest = std::max(largest, v);
    sum += v;
  });
  const auto n = static_cast<double>(groups.size());
  if (what.kind == NormaliseKind::softmax) {
    sum = 0;
    groups.for_each(g, [&](const Place& i) { sum += std::exp(x[at.at(i)] - largest); });
    groups.for_each(g,
                    [&](const Place& i) { y[at.at(i)] = static_cast<float>(std::exp(x[at.at(i)] - largest) / sum); });
    return;
  }
  const double mean = what.kind == NormaliseKind::standard ? sum / n : 0.0;
  groups.for_each(g, [&](const Place& i) { squares += (x[at.at(i)] - mean) * (x[at.at(i)] - mean); });
  const double root = std::sqrt(squares / n + static_cast<double>(what.epsilon));
  groups.for_each(g, [&](const Place& i) {
    const auto c = static_cast<std::size_t>(i.c);
    const double unit = root > 0 ? (x[at.at(i)] - mean) / root : 0.0;
    y[at.at(i)] = static_cast<float>(unit * static_cast<double>(what.gain[c]) + static_cast<double>(what.shift[c]));
  });
}

class FloatNormaliseStep : public FloatStep {
 public:
  FloatNormaliseStep(const Node& node, std::int64_t images)
      : what_(std::get<FloatNormalise>(node.what)), groups_(groups_of(what_, node.shape)), images_(images) {}
  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    for (std::int64_t g = 0; g < images_ * groups_.per_image(); ++g) normalise_group(what_, groups_, g, inputs[0], y);
  }

 private:
  const FloatNormalise& what_;
  const NormGroups groups_;
  const std::int64_t images_;
};

/// Pixels whose channels are one group each: the functor's results, rows at a time.
void run_rows(const NormaliseMoments<std::int8_t>& op, std::int64_t rows) {
  const std::int64_t n = op.groups.c;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int8_t* const x = op.x + r * n;
    std::int8_t* const code = op.code + r * n;
    std::int64_t sum = 0, squares = 0;
    constexpr std::int64_t kBlock = 1 << 16;  // whose squares an int32 holds
    for (std::int64_t first = 0; first < n; first += kBlock) {
      std::int32_t part = 0, part_squares = 0;
      for (std::int64_t c = first; c < std::min(n, first + kBlock); ++c) {
        const std::int32_t v = x[c];
        part += v;
        part_squares += v * v;
      }
      sum += part;
      squares += part_squares;
    }
    if (!op.centred) sum = 0;
    const double root = std::sqrt(static_cast<double>(n * squares - sum * sum) + op.epsilon);
    for (std::int64_t c = 0; c < n; ++c) {
      const auto centre = static_cast<double>(n * x[c] - sum);
      const double unit = root > 0.0 ? centre / root : 0.0;
      code[c] = nearest_double<std::int8_t>(unit * op.gain[c] + op.shift[c], op.low, op.high);
    }
  }
}

/// Groups over all pixels: channels innermost.
void run_area(const NormaliseMoments<std::int8_t>& op, std::int64_t images) {
  const NormGroups& g = op.groups;
  const std::int64_t channels = g.extents.c, pixels = g.h * g.w, n = g.size();
  std::vector<std::int64_t> sums(static_cast<std::size_t>(channels)), squares(sums.size());
  std::vector<double> roots(sums.size());
  for (std::int64_t image = 0; image < images; ++image) {
    const std::int8_t* const x = op.x + image * pixels * channels;
    std::int8_t* const code = op.code + image * pixels * channels;
    std::ranges::fill(sums, 0);
    std::ranges::fill(squares, 0);
    for (std::int64_t i = 0; i < pixels; ++i) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int32_t v = x[i * channels + c];
        sums[static_cast<std::size_t>(c)] += v;
        squares[static_cast<std::size_t>(c)] += v * v;
      }
    }
    for (std::size_t c = 0; c < sums.size(); c += static_cast<std::size_t>(g.c)) {
      const auto last = c + static_cast<std::size_t>(g.c);
      std::int64_t sum = 0, square = 0;
      for (std::size_t e = c; e < last; ++e) sum += sums[e], square += squares[e];
      if (!op.centred) sum = 0;
      const double root = std::sqrt(static_cast<double>(n * square - sum * sum) + op.epsilon);
      for (std::size_t e = c; e < last; ++e) sums[e] = sum, roots[e] = root;
    }
    for (std::int64_t i = 0; i < pixels; ++i) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto e = static_cast<std::size_t>(c);
        const auto centre = static_cast<double>(n * x[i * channels + c] - sums[e]);
        const double unit = roots[e] > 0.0 ? centre / roots[e] : 0.0;
        code[i * channels + c] = nearest_double<std::int8_t>(unit * op.gain[c] + op.shift[c], op.low, op.high);
      }
    }
  }
}

/// The functor's results, but with one quotient for each distance that occurs where there are many elements.
void run_rows(const SoftmaxCodes& op, std::int64_t rows) {
  const std::int64_t n = op.groups.c;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int8_t* const x = op.x + r * n;
    std::int8_t* const code = op.code + r * n;
    std::int8_t largest = x[0];
    for (std::int64_t c = 1; c < n; ++c) largest = std::max(largest, x[c]);
    std::int64_t sum = 0;
    for (std::int64_t c = 0; c < n; ++c) sum += op.table[largest - x[c]];
    std::int16_t shares[256];
    std::fill_n(shares, 256, std::int16_t{-1});
    for (std::int64_t c = 0; c < n; ++c) {
      std::int16_t& share = shares[largest - x[c]];
      if (share < 0) share = op.share(op.table[largest - x[c]], sum);
      code[c] = static_cast<std::int8_t>(share);
    }
  }
}

template <class T>
class MomentsStep : public TileStep {
 public:
  MomentsStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : what_(std::get<IntNormalise>(node.what).normalise),
        groups_(groups_of(what_, node.shape)),
        constants_(moment_constants(network, node)),
        bounds_(element_bounds<T>(node)),
        images_(images) {}

  void run(const Tensors& at) const override {
    const Strides dense = Strides::dense(groups_.extents);
    const NormaliseMoments<T> op{at.in<T>(0),
                                 at.out<T>(),
                                 groups_,
                                 dense,
                                 dense,
                                 what_.kind == NormaliseKind::standard,
                                 constants_.epsilon,
                                 constants_.gain.data(),
                                 constants_.shift.data(),
                                 bounds_.low,
                                 bounds_.high};
    if constexpr (std::is_same_v<T, std::int8_t>) {
      if (what_.area) return run_area(op, images_);
      return run_rows(op, images_ * groups_.per_image());
    }
    for (std::int64_t g = 0; g < images_ * groups_.per_image(); ++g) op(g);
  }

 private:
  const FloatNormalise& what_;
  const NormGroups groups_;
  const MomentConstants constants_;
  const ElementBounds<T> bounds_;
  const std::int64_t images_;
};

template <class T>
class SoftmaxStep : public TileStep {
 public:
  SoftmaxStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : what_(std::get<IntNormalise>(node.what)),
        groups_(groups_of(what_.normalise, node.shape)),
        count_(images * groups_.per_image()),
        in_exponent_(network.at(node.inputs[0]).exponent),
        exponent_(node.exponent) {}

  void run(const Tensors& at) const override {
    const Strides dense = Strides::dense(groups_.extents);
    if constexpr (std::is_same_v<T, std::int8_t>) {
      const SoftmaxCodes op{at.in<T>(0), at.out<T>(), groups_, dense, dense, what_.exponentials.data(), -exponent_};
      if (!what_.normalise.area) return run_rows(op, count_);
      for (std::int64_t g = 0; g < count_; ++g) op(g);
    } else {
      const SoftmaxHalves op{at.in<T>(0),
                             at.out<T>(),
                             groups_,
                             dense,
                             dense,
                             std::ldexp(1.0f, in_exponent_),
                             std::ldexp(1.0f, -exponent_)};
      for (std::int64_t g = 0; g < count_; ++g) op(g);
    }
  }

 private:
  const IntNormalise& what_;
  const NormGroups groups_;
  const std::int64_t count_;
  const int in_exponent_, exponent_;
};

}  // namespace

const FloatFacet cpu_facets::normalise = {
    .prepare = [](const Node& node, std::span<const Shape>, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatNormaliseStep>(node, images);
    },
    .in_place = [](const Node&) { return true; }};

std::unique_ptr<TileStep> cpu_facets::tile_normalise(const IntNetwork& network, const IntNode& node,
                                                     std::int64_t images) {
  const bool softmax = std::get<IntNormalise>(node.what).normalise.kind == NormaliseKind::softmax;
  return softmax ? tile_step<SoftmaxStep>(network, node, images) : tile_step<MomentsStep>(network, node, images);
}

}  // namespace qnudge
