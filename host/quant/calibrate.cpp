// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

/// Codes of `node` are codes of its inputs, so all share one scale.
bool passes_codes(const IntNode& node) {
  const auto passes = quant_facet(node).passes_codes;
  return passes != nullptr && passes(node);
}

/// The largest |value| of `node`, where it is known beforehand.
std::optional<float> known_range(const IntNode& node) {
  const auto range = quant_facet(node).range;
  return range == nullptr ? std::nullopt : range(node);
}

/// Representative of each node's group of tied scales.
std::vector<int> tied_groups(const IntNetwork& network) {
  std::vector<int> group(network.nodes.size());
  std::iota(group.begin(), group.end(), 0);
  for (int i = 0; i < static_cast<int>(group.size()); ++i) {
    if (!passes_codes(network.at(i))) continue;
    for (const int in : network.at(i).inputs) {
      const int from = group[static_cast<std::size_t>(in)], to = group[static_cast<std::size_t>(i)];
      std::replace(group.begin(), group.end(), from, to);
    }
  }
  return group;
}

/// Smallest x with value < 2^x.
int binary_exponent(double value) {
  int exponent = 0;
  std::frexp(value, &exponent);
  return exponent;
}

std::int8_t saturated_code(double value, int exponent) {
  return static_cast<std::int8_t>(std::nearbyint(std::clamp(std::ldexp(value, -exponent), -128.0, 127.0)));
}

/// Everything of node `i` that follows from exponents.
void derive(IntNetwork& network, std::size_t i) {
  IntNode& node = network.nodes[i];
  if (node.clip_low != 0.0) node.low = saturated_code(node.clip_low, node.exponent);
  if (node.clip_high != 0.0) node.high = saturated_code(node.clip_high, node.exponent);
  node.low = std::min(node.low, node.high);
  if (const auto rest = quant_facet(node).derive; rest != nullptr) rest(network, node);
}

constexpr int kMostLowered = static_cast<int>(GridErrors{}.size()) - 1;  // by choose_exponents
constexpr int kSpareBits = 3;  // of a bias below half a step: widths of a layer round to the same codes, but for ties

/// Largest exponent of an input at which the layer's bias, which is rounded to (grid step * gain * input scale), loses
/// at most half a step of the output on every grid: no grid's step is above the largest weight. Outputs may still be
/// lowered by kMostLowered. Nothing is asked where the output is 0 (`range`): there the bounds make the bias good.
std::optional<int> bias_exponent(const Layer& layer, double range, int output_exponent) {
  float weight = 0.0f;
  for (const float w : layer.weights) weight = std::max(weight, std::abs(w));
  const double unit = static_cast<double>(weight) * *std::max_element(layer.gain.begin(), layer.gain.end());
  if (range == 0.0 || unit == 0.0) return std::nullopt;
  return output_exponent - kMostLowered - binary_exponent(unit);
}

/// Gives groups that are 0 on all calibration images a scale at which the biases of the layers that read them keep
/// their precision. A layer whose input is 0 but shares a scale that is too large for that becomes constant.
void settle_zero_inputs(IntNetwork& network, const Ranges& ranges, const std::vector<int>& group,
                        const std::vector<double>& largest, std::vector<int>& exponents) {
  const auto range_of = [&](int i) {
    return static_cast<double>(ranges[static_cast<std::size_t>(network.at(i).source)]);
  };
  const auto wanted = [&](const Layer& layer) -> std::optional<int> {
    if (range_of(network.at(layer.node).inputs.front()) != 0.0) return std::nullopt;
    const bool real = layer.node == network.output && network.float_output();  // judged as if it were codes
    const double range = range_of(layer.node);
    return bias_exponent(layer, range, real ? exponent_of(range) : exponents[static_cast<std::size_t>(layer.node)]);
  };
  const auto group_of = [&](int i) { return group[static_cast<std::size_t>(i)]; };
  std::vector<int> needed(exponents.size(), 0);
  for (const Layer& layer : network.layers) {
    const int input = group_of(network.at(layer.node).inputs.front());
    if (largest[static_cast<std::size_t>(input)] != 0.0) continue;
    int& least = needed[static_cast<std::size_t>(input)];
    if (const auto exponent = wanted(layer)) least = std::clamp(*exponent - kSpareBits, -kExponentLimit, least);
  }
  for (std::size_t i = 0; i < exponents.size(); ++i) {
    const auto representative = static_cast<std::size_t>(group[i]);
    if (largest[representative] == 0.0) exponents[i] = needed[representative];
  }
  for (Layer& layer : network.layers) {
    const auto exponent = wanted(layer);
    layer.constant = exponent && exponents[static_cast<std::size_t>(network.at(layer.node).inputs.front())] > *exponent;
  }
}

}  // namespace

int exponent_of(double range) {
  if (range == 0.0) return 0;
  int exponent = binary_exponent(range);
  exponent -= range <= std::ldexp(127.0, exponent - 7) ? 7 : 6;
  return std::max(exponent, -kExponentLimit);
}

void calibrate(IntNetwork& network, const Ranges& ranges) {
  const std::vector<int> group = tied_groups(network);
  std::vector<double> largest(network.nodes.size(), 0.0);
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const IntNode& node = network.nodes[i];
    const auto source = static_cast<std::size_t>(node.source);
    require(source < ranges.size(), ErrorKind::internal, "node '{}': no calibration range", node.name);
    const float range = known_range(node).value_or(ranges[source]);
    const double limit = std::ldexp(127.0, kExponentLimit);
    require(range >= 0.0f && static_cast<double>(range) <= limit, ErrorKind::input,
            "node '{}': activations reach {} over the calibration images; finite values up to {} are needed", node.name,
            range, limit);
    double& group_range = largest[static_cast<std::size_t>(group[i])];
    group_range = std::max(group_range, static_cast<double>(range));
  }
  std::vector<int> exponents;
  for (const int representative : group) {
    exponents.push_back(exponent_of(largest[static_cast<std::size_t>(representative)]));
  }
  if (network.float_output()) exponents[static_cast<std::size_t>(network.output)] = 0;
  settle_zero_inputs(network, ranges, group, largest, exponents);
  set_exponents(network, exponents);
}

std::vector<NodeGrid> activation_grids(const IntNetwork& network) {
  std::vector<NodeGrid> grids;
  for (const IntNode& node : network.nodes) grids.push_back({node.source, node.exponent});
  return grids;
}

void choose_exponents(IntNetwork& network, std::span<const GridErrors> errors) {
  require(errors.size() == network.nodes.size(), ErrorKind::internal, "{} errors for a network of {} nodes",
          errors.size(), network.nodes.size());
  const std::vector<int> group = tied_groups(network);
  std::vector<GridErrors> sums(network.nodes.size(), GridErrors{});
  std::vector<bool> fixed(network.nodes.size());
  for (std::size_t i = 0; i < group.size(); ++i) {
    const auto representative = static_cast<std::size_t>(group[i]);
    const bool is_output = network.float_output() && static_cast<int>(i) == network.output;
    if (known_range(network.nodes[i]) || is_output) fixed[representative] = true;
    for (std::size_t e = 0; e < sums[i].size(); ++e) sums[representative][e] += errors[i][e];
  }
  std::vector<int> exponents;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const auto representative = static_cast<std::size_t>(group[i]);
    const GridErrors& tried = sums[representative];
    const auto best = std::min_element(tried.begin(), tried.end());  // ties: the larger range
    const int lower = fixed[representative] ? 0 : static_cast<int>(best - tried.begin());
    exponents.push_back(std::max(network.nodes[i].exponent - lower, -kExponentLimit));
  }
  set_exponents(network, exponents);
}

void set_exponents(IntNetwork& network, std::span<const int> exponents) {
  require(exponents.size() == network.nodes.size(), ErrorKind::input, "{} exponents for a network of {} nodes",
          exponents.size(), network.nodes.size());
  for (std::size_t i = 0; i < exponents.size(); ++i) {
    IntNode& node = network.nodes[i];
    require(std::abs(exponents[i]) <= kExponentLimit, ErrorKind::input,
            "node '{}': exponent {}; must lie between {} and {}", node.name, exponents[i], -kExponentLimit,
            kExponentLimit);
    for (const int in : passes_codes(node) ? node.inputs : std::vector<int>{}) {
      const int other = exponents[static_cast<std::size_t>(in)];
      require(other == exponents[i], ErrorKind::input,
              "node '{}': exponent {} differs from {} of its input '{}', whose codes it passes on", node.name,
              exponents[i], other, network.at(in).name);
    }
    node.exponent = exponents[i];
  }
  for (std::size_t i = 0; i < network.nodes.size(); ++i) derive(network, i);
}

}  // namespace qnudge
