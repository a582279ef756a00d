// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "device_images.hpp"
#include "device_network.hpp"
#include "qnudge/backend/channel_target.hpp"
#include "qnudge/cuda/engine.hpp"

namespace qnudge::cuda {

/// What one layer reads at the positions that its targets observe, with these targets, in device memory.
class DeviceRows {
 public:
  /// How the rows lie: for the layer to run over, or for products of bytes (kernels/rows.hpp).
  enum class Order { rows_first, taps_first };

  /// Runs the prefix of `layer` over all images.
  DeviceRows(const DeviceNetwork& network, int layer, const DeviceImages& images, const LayerTargets& targets,
             Order order, const EngineOptions& engine);

  std::int64_t rows() const { return rows_; }
  std::int64_t padded_taps() const { return padded_taps_; }  ///< lines of a group in order taps_first
  std::int64_t stride() const { return stride_; }            ///< of a line, a multiple of 16; zeros beyond the rows
  const std::int8_t* codes() const { return codes_.data(); }
  /// Error rule and targets, pointing into device memory.
  const ChannelError& error() const { return error_; }

 private:
  void sample(const DeviceNetwork& network, int layer, const DeviceImages& images, const LayerTargets& targets,
              Order order, const EngineOptions& engine);

  const std::int64_t rows_;
  std::int64_t padded_taps_ = 0, stride_ = 0;
  DeviceArray<std::int8_t> codes_, shortcut_;
  DeviceArray<std::int16_t> values_;
  DeviceArray<std::int32_t> positions_;
  ChannelError error_;
};

/// Exact sums over the rows that `targets` observes.
GramSums device_gram_sums(const DeviceNetwork& network, int layer, const DeviceImages& images,
                          const LayerTargets& targets, const EngineOptions& engine);

}  // namespace qnudge::cuda
