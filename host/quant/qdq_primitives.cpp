// SPDX-License-Identifier: MIT
#include "qdq_primitives.hpp"

#include <algorithm>
#include <array>

namespace qnudge {
namespace {

using namespace qdq_facets;

/// In the order of IntPrimitive.
constexpr std::array<const QdqFacet*, std::variant_size_v<IntPrimitive>> kFacets = {&input,   &layer,  &table,
                                                                                    &combine, &window, &move};

}  // namespace

const QdqFacet& qdq_facet(const IntNode& node) {
  return *kFacets[node.what.index()];
}

bool read_primitive(QdqReader& reader, const onnx::NodeProto& from) {
  return std::ranges::any_of(
      kFacets, [&](const QdqFacet* facet) { return facet->read != nullptr && facet->read(reader, from); });
}

}  // namespace qnudge
