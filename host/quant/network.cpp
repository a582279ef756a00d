// SPDX-License-Identifier: MIT
#include "qnudge/quant/network.hpp"

#include <algorithm>
#include <cmath>

namespace qnudge {

HalfBounds half_bounds(const IntNode& node) {
  const auto bound = [&](std::int8_t code, double clip, float otherwise) {
    if (clip != 0.0) {
      return static_cast<float>(std::clamp<double>(std::ldexp(clip, -node.exponent), -kLargestHalf, kLargestHalf));
    }
    return code == 0 ? 0.0f : otherwise;
  };
  return {bound(node.low, node.clip_low, -kLargestHalf), bound(node.high, node.clip_high, kLargestHalf)};
}

std::vector<Half> half_filter(const Layer& layer, const LayerParams& params) {
  std::vector<Half> filter;
  filter.reserve(static_cast<std::size_t>(layer.filter.size()));
  if (params.bits != kHalfBits) {
    for (const std::int8_t code : params.codes) filter.push_back(to_half(code));
    return filter;
  }
  const auto taps = static_cast<std::size_t>(layer.filter.taps());
  for (std::size_t i = 0; i < layer.weights.size(); ++i) {
    const std::size_t k = i / taps;
    const Half weight = to_half(layer.weights[i] / params.scale[k]);
    const bool zero = params.frozen[k] != 0 || to_float(weight) == 0.0f;  // of either sign
    filter.push_back(zero ? Half{} : weight);
  }
  return filter;
}

}  // namespace qnudge
