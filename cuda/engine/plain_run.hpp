// SPDX-License-Identifier: MIT
#pragma once

#include "chunk_program.hpp"
#include "chunk_size.hpp"
#include "device_images.hpp"
#include "qnudge/cuda/engine.hpp"

namespace qnudge::cuda {

/// A program without candidates, with its arena, run one chunk at a time on stream 0.
class PlainRun {
 public:
  PlainRun(const DeviceNetwork& network, const ChunkSpec& spec)
      : program_(network, spec),
        arena_(network.device().allocate(program_.arena_bytes(), "the activations")),
        table_(program_.tensors(arena_.get())) {}

  /// Appends the nodes for the images from `first` on.
  void append(Program& program, const DeviceImages& images, std::int64_t first) {
    table_.front() = images.inputs(first);
    program_.append(program, 0, arena_.get(), table_, {});
  }
  const ChunkProgram& nodes() const { return program_; }
  const TensorTable& table() const { return table_; }
  /// Codes of `node` for the chunk appended last.
  const std::int8_t* codes(int node) const {
    return reinterpret_cast<const std::int8_t*>(program_.tensor(table_, node));
  }

 private:
  ChunkProgram program_;
  Memory arena_;
  TensorTable table_;
};

/// Memory and chunk limits under `options` as things stand, for programs with candidates on all streams.
ChunkLimits chunk_limits(const Device& device, const EngineOptions& options);
/// The same for programs without candidates, on one stream. Their chunks are of one size for all but the smallest image
/// sets, because every size costs a plan per layer.
ChunkLimits plain_limits(const Device& device, const EngineOptions& options);

}  // namespace qnudge::cuda
