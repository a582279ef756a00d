// SPDX-License-Identifier: MIT
#include "qnudge/quant/network.hpp"

#include <algorithm>

namespace qnudge {

const char* to_string(IntOp op) {
  switch (op) {
    case IntOp::input:
      return "input";
    case IntOp::conv:
      return "conv";
    case IntOp::add:
      return "add";
    case IntOp::clamp:
      return "clamp";
    case IntOp::lookup:
      return "lookup";
    case IntOp::concat:
      return "concat";
    case IntOp::max_pool:
      return "max_pool";
    case IntOp::average_pool:
      return "average_pool";
    case IntOp::view:
      return "view";
  }
  return "unknown";
}

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

std::int64_t pool_divisor(const IntNode& node, const Shape& in, std::int64_t y0, std::int64_t x0) {
  const Window& w = node.pool;
  const auto taps = [&](std::int64_t first, std::int64_t count, std::int64_t dilation, std::int64_t extent,
                        std::int64_t pad_before, std::int64_t pad_after) {
    const std::int64_t low = node.count_include_pad ? -pad_before : 0;
    const std::int64_t high = node.count_include_pad ? extent + pad_after : extent;
    std::int64_t inside = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = first + i * dilation;
      inside += at >= low && at < high ? 1 : 0;
    }
    return inside;
  };
  return std::max<std::int64_t>(1, taps(y0, w.r, w.dilation_h, in.h, w.pad_top, w.pad_bottom) *
                                       taps(x0, w.s, w.dilation_w, in.w, w.pad_left, w.pad_right));
}

std::vector<float> pool_multipliers(const IntNetwork& network, const IntNode& node) {
  const IntNode& source = network.at(node.inputs[0]);
  std::vector<float> multipliers;
  bool varies = false;
  const std::int64_t first = pool_divisor(node, source.shape, -node.pool.pad_top, -node.pool.pad_left);
  for (std::int64_t y = 0; y < node.shape.h; ++y) {
    for (std::int64_t x = 0; x < node.shape.w; ++x) {
      const std::int64_t divisor = pool_divisor(node, source.shape, y * node.pool.stride_h - node.pool.pad_top,
                                                x * node.pool.stride_w - node.pool.pad_left);
      varies = varies || divisor != first;
      multipliers.push_back(average_multiplier(source.exponent, node.exponent, divisor));
    }
  }
  if (!varies) multipliers.clear();
  return multipliers;
}

}  // namespace qnudge
