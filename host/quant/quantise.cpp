// SPDX-License-Identifier: MIT
#include "qnudge/quant/quantise.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

constexpr std::int32_t kBiasLimit = (1 << 23) - 1;  // |bias| < 2^23
constexpr int kConstantBits = 22;                   // |bias| of a constant channel is in [2^21, 2^22]

bool is_float_output(const IntNetwork& network, const Layer& layer) {
  return layer.node == network.output && network.float_output();
}

int input_exponent(const IntNetwork& network, const Layer& layer) {
  return network.at(network.at(layer.node).inputs.front()).exponent;
}

/// Scale of the layer's output codes; 1 where the output is float.
double output_scale(const IntNetwork& network, const Layer& layer) {
  return is_float_output(network, layer) ? 1.0 : std::ldexp(1.0, network.at(layer.node).exponent);
}

/// Channel k always gives `value` (in units of the output's scale): bias * 2^-j with as many bits of bias as keep the
/// arithmetic exact.
void make_constant(LayerParams& params, std::size_t k, std::size_t taps, double value) {
  std::fill_n(params.codes.begin() + static_cast<std::ptrdiff_t>(k * taps), taps, std::int8_t{0});
  int exponent = 0;
  std::frexp(value, &exponent);
  exponent = value == 0.0 ? 0 : std::clamp(exponent - kConstantBits, -126, 127);
  params.multiplier[k] = static_cast<float>(std::ldexp(1.0, exponent));
  params.bias[k] = saturated_bias(std::ldexp(value, -exponent));
  params.frozen[k] = 1;
}

void round_channel(const Layer& layer, LayerParams& params, std::size_t k, std::size_t taps) {
  const double step = static_cast<double>(params.scale[k]);
  const double high = static_cast<double>((1 << (params.bits - 1)) - 1);
  for (std::size_t i = k * taps; i < (k + 1) * taps; ++i) {
    const double steps = std::clamp(static_cast<double>(layer.weights[i]) / step, -high - 1.0, high);
    params.codes[i] = static_cast<std::int8_t>(std::nearbyint(steps));
  }
}

/// Bounds of the layer's input codes; 0 is among them, because padding is 0.
CodeBounds input_bounds(const IntNetwork& network, const Layer& layer) {
  const auto input = static_cast<std::size_t>(network.at(layer.node).inputs.front());
  const CodeBounds bounds = code_bounds(network)[input];
  return {std::min(bounds.low, 0), std::max(bounds.high, 0)};
}

}  // namespace

std::int32_t saturated_bias(double value) {
  return static_cast<std::int32_t>(std::nearbyint(std::clamp(value, -1.0 * kBiasLimit, 1.0 * kBiasLimit)));
}

LayerParams quantise_layer(const IntNetwork& network, const Layer& layer, const Grid& grid) {
  const auto channels = static_cast<std::size_t>(layer.filter.k), taps = static_cast<std::size_t>(layer.filter.taps());
  LayerParams params;
  params.scale = grid_scales(layer, grid);
  params.bits = layer.tunable ? grid.bits : 2;
  params.codes.resize(layer.weights.size());
  params.bias.resize(channels);
  params.multiplier.resize(channels);
  params.frozen.resize(channels);

  const double out_scale = output_scale(network, layer);
  const double in_scale = std::ldexp(1.0, input_exponent(network, layer));
  for (std::size_t k = 0; k < channels; ++k) {
    round_channel(layer, params, k, taps);
    const auto* weights = layer.weights.data() + k * taps;
    const bool dead = layer.constant || std::all_of(weights, weights + taps, [](float w) { return w == 0.0f; });
    const auto multiplier =
        static_cast<float>(static_cast<double>(params.scale[k]) * layer.gain[k] * in_scale / out_scale);
    const double value = layer.shift[k] / out_scale;
    const double bias = std::nearbyint(value / static_cast<double>(multiplier));
    if (dead || !std::isnormal(multiplier) || std::abs(bias) > kBiasLimit) {
      make_constant(params, k, taps, value);
    } else {
      params.multiplier[k] = multiplier;
      params.bias[k] = static_cast<std::int32_t>(bias);
    }
  }
  return params;
}

LayerParams half_layer(const IntNetwork& network, const Layer& layer) {
  LayerParams params = quantise_layer(network, layer, Grid{.bits = 8});
  if (!layer.tunable) return params;
  params.bits = kHalfBits;
  params.codes.clear();
  return params;
}

void rescale(const Layer& layer, double factor, LayerParams& params) {
  const auto taps = static_cast<std::size_t>(layer.filter.taps());
  for (std::size_t k = 0; k < params.multiplier.size(); ++k) {
    const auto multiplier = static_cast<float>(static_cast<double>(params.multiplier[k]) * factor);
    if (params.frozen[k] != 0 || !std::isnormal(multiplier)) continue;
    params.multiplier[k] = multiplier;
    params.scale[k] = static_cast<float>(static_cast<double>(params.scale[k]) * factor);
    round_channel(layer, params, k, taps);
  }
}

void correct_bias(const IntNetwork& network, const Layer& layer, std::span<const double> target_mean,
                  std::span<const double> accumulator_mean, LayerParams& params) {
  require(target_mean.size() == params.bias.size() && accumulator_mean.size() == params.bias.size(),
          ErrorKind::internal, "layer '{}': {} target and {} accumulator means for {} channels", layer.name,
          target_mean.size(), accumulator_mean.size(), params.bias.size());
  const double out_scale = output_scale(network, layer);
  for (std::size_t k = 0; k < params.bias.size(); ++k) {
    if (params.frozen[k] != 0) continue;
    const double unit = static_cast<double>(params.multiplier[k]) * out_scale;
    params.bias[k] = saturated_bias(target_mean[k] / unit - accumulator_mean[k]);
  }
}

std::int64_t worst_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params) {
  const CodeBounds x = input_bounds(network, layer);
  const auto taps = static_cast<std::size_t>(layer.filter.taps());
  std::int64_t worst = 0;
  for (std::size_t k = 0; k < params.bias.size(); ++k) {
    std::int64_t low = 0, high = 0;
    for (std::size_t i = k * taps; i < (k + 1) * taps; ++i) {
      const int w = params.codes[i];
      low += w * (w > 0 ? x.low : x.high);
      high += w * (w > 0 ? x.high : x.low);
    }
    worst = std::max(worst, std::max(high, -low) + std::abs(std::int64_t{params.bias[k]}));
  }
  return worst;
}

std::int64_t worst_reachable_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params) {
  if (!layer.tunable) return worst_accumulator(network, layer, params);
  const CodeBounds x = input_bounds(network, layer);
  const int low = -(1 << (params.bits - 1)), high = -low - 1;
  const std::int64_t product = std::max(std::max(low * x.low, high * x.high), -std::min(low * x.high, high * x.low));
  std::int64_t worst = 0;
  for (std::size_t k = 0; k < params.bias.size(); ++k) {
    const std::int64_t sum = params.frozen[k] != 0 ? 0 : product * layer.filter.taps();
    worst = std::max(worst, sum + std::abs(std::int64_t{params.bias[k]}));
  }
  return worst;
}

void quantise_input(const IntNetwork& network, std::span<const float> sample, std::span<std::int8_t> codes) {
  require(sample.size() == codes.size() && static_cast<std::int64_t>(sample.size()) == network.at(0).shape.size(),
          ErrorKind::internal, "{} input values and {} codes for a network that reads {}", sample.size(), codes.size(),
          network.at(0).shape.size());
  const double scale = std::ldexp(1.0, -network.at(0).exponent);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double steps = std::isnan(sample[i]) ? 0.0 : std::clamp(sample[i] * scale, -128.0, 127.0);
    codes[i] = static_cast<std::int8_t>(std::nearbyint(steps));
  }
}

void quantise_input(const IntNetwork& network, std::span<const float> sample, std::span<Half> halves) {
  require(sample.size() == halves.size() && static_cast<std::int64_t>(sample.size()) == network.at(0).shape.size(),
          ErrorKind::internal, "{} input values and {} halves for a network that reads {}", sample.size(),
          halves.size(), network.at(0).shape.size());
  const double scale = std::ldexp(1.0, -network.at(0).exponent);
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double steps = std::clamp<double>(sample[i] * scale, -kLargestHalf, kLargestHalf);
    halves[i] = to_half(std::isnan(sample[i]) ? 0.0f : static_cast<float>(steps));
  }
}

std::int64_t packed_size_bytes(const IntNetwork& network) {
  std::int64_t bytes = 0;
  for (const Layer& layer : network.layers) {
    const std::vector<float>& m = layer.params.multiplier;
    const bool shared = std::adjacent_find(m.begin(), m.end(), std::not_equal_to<>{}) == m.end();
    bytes += (layer.filter.size() * layer.params.bits + 7) / 8;
    bytes += 4 * layer.filter.k + 4 * (shared ? 1 : layer.filter.k);
  }
  return bytes;
}

}  // namespace qnudge
