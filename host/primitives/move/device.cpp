// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

bool joins_channels(const IntNetwork& network, const IntNode& node) {
  std::vector<Shape> inputs;
  for (const int in : node.inputs) inputs.push_back(network.at(in).shape);
  return std::get<IntMove>(node.what).map == joined_channels(inputs);
}

template <class T>
void append(const DeviceStep& step) {
  const IntNode& node = step.node();
  const std::int64_t pixels = step.images * node.shape.h * node.shape.w;
  std::int64_t first = 0;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const std::int64_t channels = step.network.description().at(node.inputs[i]).shape.c;
    step.for_each(ConcatCodes<T>{step.in<T>(i), step.out<T>(), step.candidates, channels, step.physical(i).c, first,
                                 node.shape.c, step.shared[i] && step.candidates > 1},
                  pixels * step.candidates * channels);
    first += channels;
  }
}

std::optional<std::string> reject(const IntNetwork& network, const IntNode& node, bool) {
  if (node.view() || joins_channels(network, node)) return std::nullopt;
  return fmt::format("node '{}': {} has no device command", node.name, kind_of(node));
}

}  // namespace

const DeviceFacet device_facets::move = {.codes = append<std::int8_t>,
                                         .halves = append<Half>,
                                         .keeps_form = [](const IntNode& node) { return node.view(); },
                                         .reject = reject};

}  // namespace qnudge::cuda
