// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "image_store.hpp"
#include "qnudge/backend/backend.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "tile_program.hpp"

namespace qnudge {

/// Makes the convolution kernel of one layer; the host backend's choice of vendor, own or plain kernels.
using KernelFactory = std::unique_ptr<ConvKernel> (*)(const ConvProblem&, ConvMode, std::span<const float>);

/// One network on the host: every layer prepared at the tile size, image tiles times candidates spread over threads.
class HostSession : public Session {
 public:
  HostSession(const IntNetwork& network, KernelFactory kernels, int threads, std::int64_t tile);

  void set_layer(int layer, const LayerParams& params) override;
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
  PreparedLayer prepare_layer(int layer, ConvMode mode) const;
  void pack(const Layer& layer, PreparedLayer& prepared) const;
  std::vector<double> half_accumulator_means(int layer, const HostImages& images) const;

  IntNetwork network_;
  KernelFactory kernels_;
  int threads_;
  std::int64_t tile_;
  std::vector<bool> nonnegative_;
  std::vector<PreparedLayer> layers_;
};

/// Largest power of two of images, at most 16, at which the largest activation stays within half of a 1 MiB cache.
std::int64_t choose_tile(const IntNetwork& network);

}  // namespace qnudge
