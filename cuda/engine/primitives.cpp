// SPDX-License-Identifier: MIT
#include "primitives.hpp"

#include <fmt/format.h>

#include <array>

namespace qnudge::cuda {
namespace {

using namespace device_facets;

/// In the order of IntPrimitive.
constexpr std::array<const DeviceFacet*, std::variant_size_v<IntPrimitive>> kFacets = {
    &input, &layer, &table, &combine, &window, &move, &mix, &product, &normalise};

}  // namespace

const DeviceFacet& device_facet(const IntNode& node) {
  return *kFacets[node.what.index()];
}

std::string flattened_has_no_form(const IntNode& node) {
  return fmt::format("node '{}': {} over a flattened tensor has no form with candidates", node.name, kind_of(node));
}

}  // namespace qnudge::cuda
