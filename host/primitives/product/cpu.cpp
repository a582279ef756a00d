// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"
#include "qnudge/backend/element.hpp"
#include "qnudge/kernels/product.hpp"

namespace qnudge {
namespace {

/// Extents of the matrices of one image.
struct Matrices {
  std::int64_t batch, rows, depth, columns;
  bool b_rows;

  static Matrices of(const FloatProduct& product, const Shape& a, const Shape& out) {
    return {product.batch, a.h * a.w / product.batch, a.c, out.c, product.b_rows};
  }
  std::int64_t a() const { return rows * depth; }
  std::int64_t b() const { return depth * columns; }
  std::int64_t out() const { return rows * columns; }
};

QNUDGE_VECTOR_LEVELS void multiply(const Matrices& m, const float* a, const float* b, float scale, float* y) {
  for (std::int64_t i = 0; i < m.rows; ++i, a += m.depth, y += m.columns) {
    for (std::int64_t j = 0; j < m.columns; ++j) y[j] = 0;
    for (std::int64_t k = 0; k < m.depth; ++k) {
      const float factor = a[k];
      const float* const row = b + k * m.columns;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < m.columns; ++j) y[j] += factor * row[j];
    }
    for (std::int64_t j = 0; j < m.columns; ++j) y[j] *= scale;
  }
}

/// b as [depth, columns]; as it is where it already lies so.
template <class T>
const T* as_columns(const Matrices& m, const T* b, std::vector<T>& turned) {
  if (!m.b_rows) return b;
  turned.resize(static_cast<std::size_t>(m.b()));
  for (std::int64_t j = 0; j < m.columns; ++j) {
    for (std::int64_t k = 0; k < m.depth; ++k) turned[static_cast<std::size_t>(k * m.columns + j)] = b[j * m.depth + k];
  }
  return turned.data();
}

class FloatProductStep : public FloatStep {
 public:
  FloatProductStep(const Node& node, const Shape& a, std::int64_t images)
      : matrices_(Matrices::of(std::get<FloatProduct>(node.what), a, node.shape)),
        scale_(std::get<FloatProduct>(node.what).scale),
        count_(images * matrices_.batch) {}
  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    const Matrices& m = matrices_;
    std::vector<float> turned;
    for (std::int64_t n = 0; n < count_; ++n) {
      multiply(m, inputs[0] + n * m.a(), as_columns(m, inputs[1] + n * m.b(), turned), scale_, y + n * m.out());
    }
  }

 private:
  const Matrices matrices_;
  const float scale_;
  const std::int64_t count_;
};

constexpr std::int64_t kColumns = 4;  // sums at a time

/// Dot products of int16 lines, a pair of terms in one instruction; both lines padded with zeros.
QNUDGE_VECTOR_LEVELS void multiply(const std::int16_t* a, const std::int16_t* b, std::int64_t rows,
                                   std::int64_t columns, std::int64_t depth, const ProductCodes<std::int8_t>& op,
                                   std::int8_t* code) {
  const float m = op.m;
  const std::int32_t low = op.low, high = op.high;
  for (std::int64_t i = 0; i < rows; ++i) {
    const std::int16_t* const line = a + i * depth;
    for (std::int64_t j = 0; j < columns; j += kColumns) {
      const std::int16_t* const other = b + j * depth;
      std::int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (std::int64_t k = 0; k < depth; ++k) {
        s0 += line[k] * other[k];
        s1 += line[k] * other[depth + k];
        s2 += line[k] * other[2 * depth + k];
        s3 += line[k] * other[3 * depth + k];
      }
      const std::int32_t sums[kColumns] = {s0, s1, s2, s3};
      for (std::int64_t e = 0; e < kColumns && j + e < columns; ++e) {
        code[i * columns + j + e] = Activation<std::int8_t>::nearest(static_cast<float>(sums[e]) * m, low, high);
      }
    }
  }
}

/// The functor's products of codes, a pair of matrices at a time.
void run_matrices(const Matrices& m, std::int64_t count, const ProductCodes<std::int8_t>& op) {
  constexpr std::int64_t kTerms = 32;
  const std::int64_t depth = (m.depth + kTerms - 1) / kTerms * kTerms;
  std::vector<std::int16_t> a(static_cast<std::size_t>(m.rows * depth));
  std::vector<std::int16_t> b(static_cast<std::size_t>((m.columns + kColumns) * depth));
  const std::int64_t column = m.b_rows ? m.depth : 1, term = m.b_rows ? 1 : m.columns;
  for (std::int64_t n = 0; n < count; ++n) {
    for (std::int64_t i = 0; i < m.rows; ++i) {
      std::copy_n(op.a + n * m.a() + i * m.depth, m.depth, a.data() + i * depth);
    }
    for (std::int64_t j = 0; j < m.columns; ++j) {
      const std::int8_t* const from = op.b + n * m.b() + j * column;
      for (std::int64_t k = 0; k < m.depth; ++k) b[static_cast<std::size_t>(j * depth + k)] = from[k * term];
    }
    multiply(a.data(), b.data(), m.rows, m.columns, depth, op, op.code + n * m.out());
  }
}

template <class T>
class ProductStep : public TileStep {
 public:
  ProductStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : product_(std::get<IntProduct>(node.what)),
        matrices_(Matrices::of(product_.product, network.at(node.inputs[0]).shape, node.shape)),
        bounds_(element_bounds<T>(node)),
        images_(images) {}

  void run(const Tensors& at) const override {
    const Matrices& m = matrices_;
    const Extents a{m.batch, m.rows, 1, m.depth}, out{m.batch, m.rows, 1, m.columns};
    Strides b = Strides::dense({m.batch, m.b_rows ? m.columns : m.depth, 1, m.b_rows ? m.depth : m.columns});
    if (m.b_rows) std::swap(b.x, b.c);
    const ProductCodes<T> op{at.in<T>(0),       at.in<T>(1), at.out<T>(),         out,         m.depth,
                             Strides::dense(a), b,           product_.multiplier, bounds_.low, bounds_.high};
    if constexpr (std::is_same_v<T, std::int8_t>) {
      run_matrices(m, images_ * m.batch, op);
    } else {
      for (std::int64_t i = 0; i < images_ * out.size(); ++i) op(i);
    }
  }

 private:
  const IntProduct product_;
  const Matrices matrices_;
  const ElementBounds<T> bounds_;
  const std::int64_t images_;
};

}  // namespace

const FloatFacet cpu_facets::product = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatProductStep>(node, in[0], images);
    }};

std::unique_ptr<TileStep> cpu_facets::tile_product(const IntNetwork& network, const IntNode& node,
                                                   std::int64_t images) {
  return tile_step<ProductStep>(network, node, images);
}

}  // namespace qnudge
