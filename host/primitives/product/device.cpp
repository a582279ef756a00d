// SPDX-License-Identifier: MIT
#include <utility>

#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

template <class T>
void append(const DeviceStep& step) {
  const IntNode& node = step.node();
  const auto& product = std::get<IntProduct>(node.what);
  const std::int64_t batch = product.product.batch;
  // Every input as [batch, rows, P, C].
  const auto extents = [&](const Shape& s, std::int64_t candidates) {
    return Extents{batch, s.h * s.w / batch, candidates, s.c};
  };
  const auto strides = [&](std::size_t i) {
    const Extents own =
        extents(step.network.description().at(node.inputs[i]).shape, step.shared[i] ? 1 : step.candidates);
    Strides s = Strides::dense(own);
    if (step.shared[i]) s.p = 0;
    return s;
  };
  Strides b = strides(1);
  if (product.product.b_rows) std::swap(b.x, b.c);
  const auto [low, high] = element_bounds<T>(node);
  step.for_each(ProductCodes<T>{step.in<T>(0), step.in<T>(1), step.out<T>(), extents(node.shape, step.candidates),
                                step.network.description().at(node.inputs[0]).shape.c, strides(0), b,
                                product.multiplier, low, high},
                step.count());
}

/// A flattened tensor keeps its pixels with candidates between them and the channels.
std::optional<std::string> reject(const IntNetwork& network, const IntNode& node, bool) {
  const std::vector<Shape> physical = physical_shapes(network);
  for (const int in : node.inputs) {
    if (physical[static_cast<std::size_t>(in)] != network.at(in).shape) return flattened_has_no_form(node);
  }
  return std::nullopt;
}

}  // namespace

const DeviceFacet device_facets::product = {.codes = append<std::int8_t>, .halves = append<Half>, .reject = reject};

}  // namespace qnudge::cuda
