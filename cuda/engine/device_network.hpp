// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "qnudge/cuda/device.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge::cuda {

/// Parameters of one layer in device memory.
struct DeviceLayer {
  DeviceArray<std::int8_t> codes;  ///< [K, R, S, C/G]; empty with half activations
  DeviceArray<Half> halves;        ///< the same as halves; empty without
  DeviceArray<float> bias;         ///< [K], the int32 biases as fp32
  DeviceArray<float> multiplier;   ///< [K]

  /// Codes or halves.
  const void* filter() const { return halves.size() > 0 ? static_cast<const void*>(halves.data()) : codes.data(); }
};

/// An integer network whose parameters live on a device.
class DeviceNetwork {
 public:
  DeviceNetwork(Device& device, const IntNetwork& network);
  DeviceNetwork(const DeviceNetwork&) = delete;
  DeviceNetwork& operator=(const DeviceNetwork&) = delete;

  Device& device() const { return device_; }
  const IntNetwork& description() const { return network_; }
  const DeviceLayer& layer(int l) const { return layers_[static_cast<std::size_t>(l)]; }
  /// What a node's commands read beside the tensors, see DeviceFacet::constants; nullptr where there is nothing.
  template <class T>
  const T* constants(int node) const {
    return reinterpret_cast<const T*>(constants_[static_cast<std::size_t>(node)].data());
  }
  /// Shape in which a node's bytes lie: for everything computed from a flattened tensor element by element this is the
  /// tensor's shape before flattening, because candidates stand between width and channels.
  const Shape& physical(int node) const { return physical_[static_cast<std::size_t>(node)]; }

  void set_layer(int layer, const LayerParams& params);

 private:
  void upload_layer(int layer);

  Device& device_;
  IntNetwork network_;
  std::vector<DeviceLayer> layers_;
  std::vector<DeviceArray<std::byte>> constants_;  // by node
  std::vector<Shape> physical_;
};

/// See DeviceNetwork::physical.
std::vector<Shape> physical_shapes(const IntNetwork& network);

}  // namespace qnudge::cuda
