// SPDX-License-Identifier: MIT
#pragma once

#include <variant>

#include "qnudge/model/functions.hpp"
#include "qnudge/quant/network.hpp"

/// Short words for the payloads of nodes.
namespace qnudge::test {

/// A visitor of several lambdas: one that forgets a primitive does not compile.
template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

inline FloatTable relu_table() {
  return {relu_function()};
}
inline FloatTable clip_table(double low, double high) {
  return {clip_function(low, high)};
}
inline FloatTable sigmoid_table() {
  return {sigmoid_function()};
}

inline FloatLayer& layer_of(Node& node) {
  return std::get<FloatLayer>(node.what);
}
inline const FloatLayer& layer_of(const Node& node) {
  return std::get<FloatLayer>(node.what);
}
inline FloatBatchNorm& batch_norm_of(Node& node) {
  return std::get<FloatBatchNorm>(node.what);
}
inline const FloatBatchNorm& batch_norm_of(const Node& node) {
  return std::get<FloatBatchNorm>(node.what);
}
inline const FloatWindow& window_of(const Node& node) {
  return std::get<FloatWindow>(node.what);
}
inline const IntWindow& window_of(const IntNode& node) {
  return std::get<IntWindow>(node.what);
}
inline const IntTable& table_of(const IntNode& node) {
  return std::get<IntTable>(node.what);
}
inline const IntCombine& combine_of(const IntNode& node) {
  return std::get<IntCombine>(node.what);
}

}  // namespace qnudge::test
