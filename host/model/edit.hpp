// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string_view>

#include "importer.hpp"

namespace qnudge {

/// Operators that move no element: what becomes of the index map of their first input. Nothing: no factors say so.
using Edit = std::optional<IndexMap> (*)(Builder&, NodeView&, const IndexMap&);

/// nullptr if the operator is none of them.
Edit find_edit(std::string_view type);

/// Target extents of a Reshape, with 0 (copied) and -1 (inferred) resolved, as IndexMap::reshape takes them.
Extents resolve_reshape(const Builder& builder, const Extents& dims, const std::vector<Affine>& target,
                        bool allow_zero);

/// Sizes of the parts of a Split along an axis of `extent`.
std::vector<std::int64_t> split_sizes(const Builder& builder, NodeView& view, std::int64_t extent, std::size_t outputs);

}  // namespace qnudge
