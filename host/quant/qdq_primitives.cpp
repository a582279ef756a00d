// SPDX-License-Identifier: MIT
#include "qdq_primitives.hpp"

#include <algorithm>
#include <array>

namespace qnudge {
namespace {

using namespace qdq_facets;

/// In the order of IntPrimitive.
constexpr std::array<const QdqFacet*, std::variant_size_v<IntPrimitive>> kFacets = {
    &input, &layer, &table, &combine, &window, &move, &mix, &product, &normalise};

}  // namespace

const QdqFacet& qdq_facet(const IntNode& node) {
  return *kFacets[node.what.index()];
}

bool read_primitive(QdqReader& reader, const onnx::NodeProto& from) {
  // Rooms that know their nodes by what those say of themselves come before those that know them by the operator.
  constexpr auto kReaders =
      std::to_array<const QdqFacet*>({&table, &move, &mix, &product, &normalise, &layer, &window, &combine, &input});
  static_assert(kReaders.size() == kFacets.size());
  return std::ranges::any_of(
      kReaders, [&](const QdqFacet* facet) { return facet->read != nullptr && facet->read(reader, from); });
}

}  // namespace qnudge
