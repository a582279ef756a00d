// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {

/// One node all of whose inputs are constants.
struct FoldView {
  Builder& builder;
  NodeView& node;
  std::vector<KnownPtr> inputs;  ///< null where an optional input is left out

  bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  /// Input i; Refusal (malformed) if it is left out.
  const Known& in(std::size_t i) const;
};

/// An operator evaluated at import: its outputs, one or as many as the node lists. Arithmetic is that of float32: each
/// result is rounded once; integers may depend on the number of samples.
struct FoldOperator {
  std::string_view type;
  int min_inputs, max_inputs, max_outputs;
  std::vector<Known> (*fold)(FoldView&);
};

/// nullptr if the operator is not evaluated.
const FoldOperator* find_fold(std::string_view type);

/// Extents of two tensors broadcast against each other. Refuses (malformed) what does not fit.
Extents broadcast(const Extents& a, const Extents& b);
/// The storage of a tensor of extents `from`, broadcast to `to`.
IndexMap broadcast_map(const IndexMap& from, const Extents& to);

/// The one element that a tensor must have.
template <class T>
const T& only(const std::vector<T>& values) {
  check(values.size() == 1, "a tensor of {} elements stands where one value is needed", values.size());
  return values[0];
}
template <class T>
T only(std::vector<T>&& values) {
  return only(std::as_const(values));
}

// The rooms of the table: arithmetic element by element, reductions, and what only moves or makes elements.
std::vector<Known> fold_unary(FoldView&);
std::vector<Known> fold_binary(FoldView&);
std::vector<Known> fold_variadic(FoldView&);
std::vector<Known> fold_compare(FoldView&);
std::vector<Known> fold_logic(FoldView&);
std::vector<Known> fold_cast(FoldView&);
std::vector<Known> fold_clip(FoldView&);
std::vector<Known> fold_where(FoldView&);
std::vector<Known> fold_reduction(FoldView&);
std::vector<Known> fold_batch_norm(FoldView&);
std::vector<Known> fold_running_sum(FoldView&);
std::vector<Known> fold_edit(FoldView&);
std::vector<Known> fold_split(FoldView&);
std::vector<Known> fold_concat(FoldView&);
std::vector<Known> fold_gather(FoldView&);
std::vector<Known> fold_tile(FoldView&);
std::vector<Known> fold_pad(FoldView&);
std::vector<Known> fold_scatter(FoldView&);
std::vector<Known> fold_range(FoldView&);
std::vector<Known> fold_constant_of_shape(FoldView&);

}  // namespace qnudge
