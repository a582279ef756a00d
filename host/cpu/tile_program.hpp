// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "primitives.hpp"
#include "qnudge/backend/tensor_placement.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// A layer made ready for tiles of a fixed number of images: its kernel and the current codes, packed.
struct PreparedLayer {
  std::unique_ptr<ConvKernel> kernel;
  AlignedBuffer packed;
  std::vector<std::int32_t> bias;
};

/// Convolution problem of `layer` for tiles of `tile` images.
ConvProblem conv_problem(const IntNetwork& network, const Layer& layer, std::int64_t tile, bool input_nonnegative);

/// What one thread needs to run a program.
struct TileContext {
  AlignedBuffer arena, scratch;
  std::vector<std::byte*> tensors;  // by node: where its output for the current tile lies
};

/// Some nodes of the network, in order, for one tile of images at a time. Outputs live in an arena whose space is
/// reused after the last reader; `external` nodes live where the caller says (inputs, cached tensors).
class TileProgram {
 public:
  /// `nodes`: topological. `external`: nodes whose tensors the caller provides, read or written. `kept`: nodes whose
  /// output must survive to the end of the run.
  TileProgram(const IntNetwork& network, const std::vector<PreparedLayer>& layers, std::vector<int> nodes,
              const std::vector<int>& external, const std::vector<int>& kept, std::int64_t tile);

  TileContext make_context() const;
  /// Where an external node's tile lies, [tile, HWC].
  void set_external(TileContext& context, int node, std::byte* data) const;
  /// Runs all nodes. `packed`, if given, replaces the packed filter of layer `replaced`.
  void run(TileContext& context, int replaced = -1, const std::byte* packed = nullptr) const;
  const std::byte* output(const TileContext& context, int node) const;

 private:
  void place(const std::vector<int>& external, const std::vector<int>& kept);
  int root(int node) const { return root_[static_cast<std::size_t>(node)]; }
  std::size_t tensor_bytes(int node) const;

  const IntNetwork& network_;
  const std::vector<PreparedLayer>& layers_;
  const std::vector<int> nodes_;
  const std::int64_t tile_;
  std::vector<int> root_;  // by node: the node that owns its bytes (views own none)
  TensorPlacement placement_;
  std::vector<std::unique_ptr<TileStep>> steps_;  // by node; none for inputs, views and layers
  std::vector<std::vector<int>> inputs_;          // by node: the owners of its inputs' bytes
  std::size_t scratch_bytes_ = 0;
};

}  // namespace qnudge
