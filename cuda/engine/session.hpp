// SPDX-License-Identifier: MIT
#pragma once

#include "device_images.hpp"
#include "device_network.hpp"
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
  GramSums gram_sums(int layer, const ImagesHandle& images, const LayerTargets& targets) override;
  std::unique_ptr<LayerSearch> prepare_channels(int layer, const ImagesHandle& images, const LayerTargets& targets,
                                                const ChannelOptions& options,
                                                std::span<const std::int16_t> residual_targets) override;
  std::unique_ptr<LayerSearch> prepare_gram(int layer, GramForm form, const GramOptions& options) override;

 private:
  const DeviceImages& images_of(const ImagesHandle& handle) const;

  const std::shared_ptr<Device> device_;
  const EngineOptions options_;
  DeviceNetwork network_;
};

}  // namespace qnudge::cuda
