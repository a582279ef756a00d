// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

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

template <class T>
const std::vector<T>& lookup_table(const IntNode& node);
template <>
inline const std::vector<std::int8_t>& lookup_table(const IntNode& node) {
  return node.table;
}
template <>
inline const std::vector<Half>& lookup_table(const IntNode& node) {
  return node.half_table;
}

}  // namespace qnudge
