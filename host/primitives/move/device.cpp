// SPDX-License-Identifier: MIT
#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

bool joins_channels(const IntNetwork& network, const IntNode& node) {
  std::vector<Shape> inputs;
  for (const int in : node.inputs) inputs.push_back(network.at(in).shape);
  return std::get<IntMove>(node.what).map == joined_channels(inputs);
}

template <class T>
void append_concatenation(const DeviceStep& step) {
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

template <class T>
void append(const DeviceStep& step) {
  const IntNode& node = step.node();
  if (joins_channels(step.network.description(), node)) return append_concatenation<T>(step);
  for (const ElementMap::Box& box : std::get<IntMove>(node.what).map.boxes) {
    const auto i = static_cast<std::size_t>(box.input);
    std::int64_t count = 1;
    for (const ElementMap::Axis& axis : box.axes) count *= axis.extent;
    MoveCodes<T> op{step.in<T>(i),
                    step.out<T>(),
                    step.candidates,
                    count,
                    step.physical(i).c,
                    node.shape.c,
                    step.physical(i).size(),
                    node.shape.size(),
                    box.from,
                    box.to,
                    {},
                    static_cast<int>(box.axes.size()),
                    step.shared[i] && step.candidates > 1};
    for (std::size_t a = 0; a < box.axes.size(); ++a) {
      const ElementMap::Axis& axis = box.axes[box.axes.size() - 1 - a];
      op.axes[a] = {axis.extent, axis.from, axis.to};
    }
    step.for_each(op, step.images * step.candidates * count);
  }
}

}  // namespace

const DeviceFacet device_facets::move = {.codes = append<std::int8_t>,
                                         .halves = append<Half>,
                                         .keeps_form = [](const IntNode& node) { return node.view(); }};

}  // namespace qnudge::cuda
