// SPDX-License-Identifier: MIT
#include "device_network.hpp"

#include <fmt/format.h>

#include <span>

#include "primitives.hpp"

namespace qnudge::cuda {

std::vector<Shape> physical_shapes(const IntNetwork& network) {
  std::vector<Shape> shapes;
  for (const IntNode& node : network.nodes) {
    const auto keeps = device_facet(node).keeps_form;
    const bool kept = keeps != nullptr && keeps(node);
    shapes.push_back(kept ? shapes[static_cast<std::size_t>(node.inputs[0])] : node.shape);
  }
  return shapes;
}

DeviceNetwork::DeviceNetwork(Device& device, const IntNetwork& network)
    : device_(device),
      network_(network),
      layers_(network.layers.size()),
      constants_(network.nodes.size()),
      physical_(physical_shapes(network)) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const FilterShape& filter = network_.layers[l].filter;
    const std::string& name = network_.layers[l].name;
    const auto weights = static_cast<std::size_t>(filter.size());
    if (network_.half()) {
      layers_[l].halves = {device_, weights, "the filter of layer '" + name + "'"};
    } else {
      layers_[l].codes = {device_, weights, "the codes of layer '" + name + "'"};
    }
    layers_[l].bias = {device_, static_cast<std::size_t>(filter.k), "the biases of layer '" + name + "'"};
    layers_[l].multiplier = {device_, static_cast<std::size_t>(filter.k), "the multipliers of layer '" + name + "'"};
    upload_layer(static_cast<int>(l));
  }
  for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
    const IntNode& node = network_.nodes[i];
    const DeviceFacet& facet = device_facet(node);
    if (facet.constants == nullptr) continue;
    const std::vector<std::byte> bytes = facet.constants(network_, node);
    if (bytes.empty()) continue;
    constants_[i] = {device_, std::span(bytes), fmt::format("the {} of '{}'", facet.constants_name, node.name)};
  }
}

void DeviceNetwork::set_layer(int layer, const LayerParams& params) {
  network_.layer(layer).params = params;
  upload_layer(layer);
}

void DeviceNetwork::upload_layer(int layer) {
  const LayerParams& params = network_.layer(layer).params;
  const DeviceLayer& resident = layers_[static_cast<std::size_t>(layer)];
  if (network_.half()) {
    resident.halves.set(half_filter(network_.layer(layer), params));
  } else {
    resident.codes.set(params.codes);
  }
  resident.bias.set(std::vector<float>(params.bias.begin(), params.bias.end()));
  resident.multiplier.set(params.multiplier);
}

}  // namespace qnudge::cuda
