// SPDX-License-Identifier: MIT
#include "qnudge/backend/tap_sums.hpp"

#include "qnudge/kernels/activation.hpp"

namespace qnudge {
namespace {

template <class Sum, class F>
std::vector<double> means(const Layer& layer, std::span<const std::int64_t> sums, double divisor, const F& weight) {
  std::vector<double> all;
  const std::int64_t taps = layer.filter.taps(), group_channels = layer.filter.k / layer.conv.groups;
  for (std::int64_t k = 0; k < layer.filter.k; ++k) {
    Sum sum = 0;
    for (std::int64_t j = 0; j < taps; ++j) {
      sum += weight(static_cast<std::size_t>(k * taps + j)) *
             static_cast<Sum>(sums[static_cast<std::size_t>(k / group_channels * taps + j)]);
    }
    all.push_back(static_cast<double>(sum) / divisor);
  }
  return all;
}

}  // namespace

std::vector<double> means_of_tap_sums(const IntNetwork& network, const Layer& layer, std::span<const std::int64_t> sums,
                                      std::int64_t positions) {
  const auto count = static_cast<double>(positions);
  if (!network.half()) {
    return means<std::int64_t>(layer, sums, count, [&](std::size_t i) { return layer.params.codes[i]; });
  }
  const std::vector<Half> filter = half_filter(layer, layer.params);
  return means<double>(layer, sums, count * Activation<Half>::kFixedOne,
                       [&](std::size_t i) { return static_cast<double>(to_float(filter[i])); });
}

}  // namespace qnudge
