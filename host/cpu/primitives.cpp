// SPDX-License-Identifier: MIT
#include "primitives.hpp"

#include <array>

namespace qnudge {
namespace {

using namespace cpu_facets;

constexpr FloatFacet kInput = {.prepare = nullptr};

/// In the order of FloatPrimitive.
constexpr std::array<const FloatFacet*, std::variant_size_v<FloatPrimitive>> kFloat = {
    &kInput, &layer, &batch_norm, &table, &combine, &window, &move, &mix, &product, &normalise};

/// In the order of IntPrimitive. A layer is run by who knows its current codes.
constexpr std::array<PrepareTile, std::variant_size_v<IntPrimitive>> kTile = {
    nullptr, nullptr, tile_table, tile_combine, tile_window, tile_move, tile_mix, tile_product, tile_normalise};

}  // namespace

const FloatFacet& float_facet(const Node& node) {
  return *kFloat[node.what.index()];
}

std::unique_ptr<TileStep> prepare_tile(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  const PrepareTile prepare = kTile[node.what.index()];
  return prepare == nullptr || node.view() ? nullptr : prepare(network, node, images);
}

}  // namespace qnudge
