// SPDX-License-Identifier: MIT
#include "primitives.hpp"

#include <array>

namespace qnudge {
namespace {

using namespace model_facets;

/// In the order of FloatPrimitive.
constexpr std::array<const ModelFacet*, std::variant_size_v<FloatPrimitive>> kFacets = {
    &input, &layer, &batch_norm, &table, &combine, &window, &move, &mix, &product, &normalise};

}  // namespace

const ModelFacet& model_facet(const Node& node) {
  return *kFacets[node.what.index()];
}

std::string_view kind_of(const Node& node) {
  return model_facet(node).kind(node);
}

Shape shape_of(const Node& node, std::span<const Shape> inputs) {
  return node.inputs.empty() ? node.shape : model_facet(node).shape(node, inputs);
}

std::optional<ScalarFunction::Bounds> bounds_of(const Node& node) {
  const auto bounds = model_facet(node).bounds;
  return bounds == nullptr ? std::nullopt : bounds(node);
}

}  // namespace qnudge
