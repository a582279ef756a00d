// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// A float node made ready for a fixed number of images; safe to run from several threads with scratch of their own.
class FloatStep {
 public:
  virtual ~FloatStep() = default;
  virtual std::size_t scratch_bytes() const { return 0; }  ///< 64-byte aligned
  /// inputs: one pointer per input of the node, [n, H, W, C] each; y: [n, OH, OW, C], where `in_place` allows it the
  /// first input itself.
  virtual void run(std::span<const float* const> inputs, float* y, std::byte* scratch) const = 0;
};

/// What a primitive of the float graph is on a CPU.
struct FloatFacet {
  /// `node` outlives the step; `in`: shapes of its inputs (null: the input, which is given).
  std::unique_ptr<FloatStep> (*prepare)(const Node& node, std::span<const Shape> in, std::int64_t images);
  bool (*in_place)(const Node&) = nullptr;  ///< whether y may be the first input (null: no)
};

/// An integer node that is neither input nor view nor layer, made ready for a fixed number of images.
class TileStep {
 public:
  virtual ~TileStep() = default;
  /// Where the tensors of a tile lie: codes or halves, [n, H, W, C].
  struct Tensors {
    std::byte* const* by_node;
    std::span<const int> inputs;  ///< nodes that own the bytes of the inputs
    std::byte* output;
    template <class T>
    const T* in(std::size_t i) const {
      return reinterpret_cast<const T*>(by_node[inputs[i]]);
    }
    template <class T>
    T* out() const {
      return reinterpret_cast<T*>(output);
    }
  };
  virtual void run(const Tensors& at) const = 0;
};

/// What a primitive of the integer network is on a CPU; `network` outlives the step (null: nothing to run, or a layer).
using PrepareTile = std::unique_ptr<TileStep> (*)(const IntNetwork& network, const IntNode& node, std::int64_t images);

/// The rows of the tables for these nodes.
const FloatFacet& float_facet(const Node& node);
/// nullptr for a node without a step.
std::unique_ptr<TileStep> prepare_tile(const IntNetwork& network, const IntNode& node, std::int64_t images);

/// A step of the kind of element that the network has: Step<std::int8_t> or Step<Half>.
template <template <class> class Step>
std::unique_ptr<TileStep> tile_step(const IntNetwork& network, const IntNode& node, std::int64_t images) {
  if (network.half()) return std::make_unique<Step<Half>>(network, node, images);
  return std::make_unique<Step<std::int8_t>>(network, node, images);
}

/// Defined in the rooms, host/primitives/<name>/cpu.cpp.
namespace cpu_facets {
extern const FloatFacet layer, batch_norm, table, combine, window, move, mix, product, normalise;
std::unique_ptr<TileStep> tile_table(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_combine(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_window(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_move(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_mix(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_product(const IntNetwork& network, const IntNode& node, std::int64_t images);
std::unique_ptr<TileStep> tile_normalise(const IntNetwork& network, const IntNode& node, std::int64_t images);
}  // namespace cpu_facets

}  // namespace qnudge
