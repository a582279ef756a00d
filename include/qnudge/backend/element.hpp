// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/kernels/activation.hpp"
#include "qnudge/quant/network.hpp"

/// What element rules need of a node, for either kind of element.
namespace qnudge {

template <class T>
struct ElementBounds {
  typename Activation<T>::Bound low, high;
};

template <class T>
ElementBounds<T> element_bounds(const IntNode& node);
template <>
inline ElementBounds<std::int8_t> element_bounds(const IntNode& node) {
  return {node.low, node.high};
}
template <>
inline ElementBounds<Half> element_bounds(const IntNode& node) {
  const HalfBounds bounds = half_bounds(node);
  return {bounds.low, bounds.high};
}

}  // namespace qnudge
