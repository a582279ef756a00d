// SPDX-License-Identifier: MIT
#pragma once

#include "chunk_program.hpp"
#include "chunk_size.hpp"
#include "device_images.hpp"
#include "qnudge/cuda/engine.hpp"

namespace qnudge::cuda {

/// One network on one device.
class EngineSession : public Session {
 public:
  EngineSession(std::shared_ptr<Device> device, const EngineOptions& options, const IntNetwork& network);

  void set_layer(int layer, const LayerParams& params) override { network_.set_layer(layer, params); }
  ImagesHandle upload(const ImageSet& images) override;
  Evaluation evaluate(const ImagesHandle& images) override;
  std::vector<double> accumulator_means(int layer, const ImagesHandle& images) override;
  void visit_tensors(const ImagesHandle& images, const TensorVisitor& visitor) override;
  std::unique_ptr<LayerSearch> prepare(int layer, const ImagesHandle& images, const PopulationOptions& options,
                                       std::span<const std::int16_t> residual_targets) override;

 private:
  const DeviceImages& images_of(const ImagesHandle& handle) const;

  const std::shared_ptr<Device> device_;
  const EngineOptions options_;
  DeviceNetwork network_;
};

/// Memory and chunk limits under `options` as things stand, for programs with candidates on all streams.
ChunkLimits chunk_limits(const Device& device, const EngineOptions& options);
/// The same for programs without candidates, on one stream. Their chunks are of one size for all but the smallest image
/// sets, because every size costs a plan per layer.
ChunkLimits plain_limits(const Device& device, const EngineOptions& options);

}  // namespace qnudge::cuda
