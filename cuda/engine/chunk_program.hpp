// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "device_network.hpp"
#include "qnudge/backend/tensor_placement.hpp"
#include "qnudge/cuda/commands.hpp"

namespace qnudge::cuda {

/// Filters of all candidates of the searched layer, with what their epilogues need.
struct WideFilter {
  const void* filters = nullptr;      ///< [P, K, R, S, C/G] codes, or halves
  const float* bias = nullptr;        ///< [P, K]
  const float* multiplier = nullptr;  ///< [P, K]
};

/// What a program computes for each chunk of images.
struct ChunkSpec {
  std::vector<int> nodes;     ///< topological
  std::vector<int> external;  ///< nodes whose tensors lie outside the arena: read, or written if among `nodes`
  std::vector<int> kept;      ///< nodes whose output survives to the end; never fused away
  std::int64_t images = 1;    ///< per chunk
  std::int64_t candidates = 1;
  int searched = -1;  ///< layer with one filter per candidate; -1: none, and `candidates` is 1
};

/// Where the tensors of one chunk lie, by node.
using TensorTable = std::vector<std::byte*>;

/// Some nodes of the network as commands for one chunk of images. Every node of a program with a searched layer depends
/// on that layer and holds candidates; its external tensors are shared by all of them.
class ChunkProgram {
 public:
  ChunkProgram(const DeviceNetwork& network, ChunkSpec spec);

  const ChunkSpec& spec() const { return spec_; }
  std::size_t arena_bytes() const { return placement_.bytes + workspace_bytes_; }
  /// A table with this program's own tensors in `arena`; the caller enters the external ones.
  TensorTable tensors(std::byte* arena) const;
  /// Appends the commands of one chunk.
  void append(Program& program, int stream, std::byte* arena, const TensorTable& at, const WideFilter& wide) const;
  /// Logits of the network's output, which must be among the nodes.
  LogitRows logits(const TensorTable& at) const;
  std::byte* tensor(const TensorTable& at, int node) const;

 private:
  struct Step {
    int node;
    ConvHandle conv;        ///< conv nodes, and additions with a convolution fused in
    int fused = -1;         ///< the convolution that an addition has swallowed
    std::size_t other = 0;  ///< which input of the addition is the residual
  };

  /// A convolution that an addition may swallow.
  struct Fusion {
    int conv;
    std::size_t other;  ///< which input of the addition is the residual
    ConvTask task;
  };

  bool shared(int node) const { return external_[static_cast<std::size_t>(root(node))]; }
  int root(int node) const;
  std::size_t tensor_bytes(int node) const;
  HalfBounds bounds(const IntNode& node) const;  ///< of codes or halves
  ConvTask task(int node) const;
  std::vector<Fusion> fusions(int add, const std::vector<bool>& taken) const;
  ConvRequest request(int conv, const ConvTask& task) const;
  /// By node the fusion of each addition that has one, as far as `takes` agrees.
  std::vector<std::optional<Fusion>> fuse_additions(const std::function<bool(const Fusion&)>& takes) const;
  void prepare(const std::vector<std::optional<Fusion>>& fused) const;
  void plan_steps();
  void place();
  void append_conv(Program& program, int stream, const Step& step, std::byte* arena, const TensorTable& at,
                   const WideFilter& wide) const;
  /// A node that is no convolution.
  void append_node(Program& program, int stream, int node, const TensorTable& at) const;

  const DeviceNetwork& network_;
  const ChunkSpec spec_;
  std::vector<bool> external_, kept_, inside_;  // by node
  std::vector<Step> steps_;
  TensorPlacement placement_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace qnudge::cuda
