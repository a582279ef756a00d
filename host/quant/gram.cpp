// SPDX-License-Identifier: MIT
#include "qnudge/quant/gram.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

using Wide = __int128;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

/// rows^2 times the covariance of two quantities with these sums.
double covariance(std::int64_t rows, std::int64_t product, std::int64_t a, std::int64_t b) {
  return static_cast<double>(static_cast<Wide>(rows) * product - static_cast<Wide>(a) * b);
}

/// Real value of one accumulator step of channel k.
double unit(const IntNetwork& network, const Layer& layer, const LayerParams& params, std::size_t k) {
  const bool real = layer.node == network.output && network.float_output();
  return static_cast<double>(params.multiplier[k]) * (real ? 1.0 : std::ldexp(1.0, network.at(layer.node).exponent));
}

/// Real value of one step of the input codes.
double input_unit(const IntNetwork& network, const Layer& layer) {
  return std::ldexp(1.0, network.at(network.at(layer.node).inputs.front()).exponent);
}

/// Covariances of one group's inputs, damped, before they become integers.
struct Covariances {
  std::vector<double> h;  // [taps, taps]
  double damping = 0, total = 0;
};

Covariances covariances(const GramSums& sums, std::int64_t group, double damping) {
  const std::int64_t taps = sums.taps;
  const std::int64_t* const x = sums.x.data() + group * taps;
  const std::int64_t* const xx = sums.xx.data() + group * taps * taps;
  Covariances v;
  v.h.resize(at(taps * taps));
  double trace = 0;
  for (std::int64_t i = 0; i < taps; ++i) {
    for (std::int64_t j = 0; j < taps; ++j) v.h[at(i * taps + j)] = covariance(sums.rows, xx[i * taps + j], x[i], x[j]);
    trace += v.h[at(i * taps + i)];
  }
  v.damping = damping * trace / static_cast<double>(taps);
  for (std::int64_t i = 0; i < taps; ++i) {
    v.h[at(i * taps + i)] += v.damping;
    for (std::int64_t j = 0; j < taps; ++j) v.total += std::abs(v.h[at(i * taps + j)]);
  }
  return v;
}

/// Smallest shift at which errors and sums of any codes stay within 2^61 / channels and h within 30 bits. |c| is cut to
/// 2 * limit * row, so 5 * limit^2 * total bounds q' h q + 2 c' q.
int choose_shift(double total, double largest, std::int32_t limit, std::int64_t channels) {
  int bits = 0, entry_bits = 0;
  std::frexp(5.0 * limit * limit * total * static_cast<double>(channels), &bits);
  std::frexp(largest, &entry_bits);
  return std::max(bits - 60, entry_bits - 30);
}

std::vector<std::int32_t> falling_diagonal(const std::int32_t* h, std::int64_t taps) {
  std::vector<std::int32_t> order(at(taps));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return h[a * taps + a] > h[b * taps + b]; });
  return order;
}

}  // namespace

GramForm make_gram_form(const IntNetwork& network, const Layer& layer, const LayerParams& params, const GramSums& sums,
                        int target_exponent, double damping) {
  GramForm form{.groups = sums.groups, .channels = sums.channels, .taps = sums.taps};
  form.low = -(1 << (params.bits - 1));
  form.high = -form.low - 1;
  form.frozen = params.frozen;
  form.h.resize(at(form.groups * form.taps * form.taps));
  form.c.resize(at(form.channels * form.taps));

  double total = 0, largest = 0;
  std::vector<Covariances> groups;
  for (std::int64_t g = 0; g < form.groups; ++g) {
    groups.push_back(covariances(sums, g, damping));
    total = std::max(total, groups.back().total);
    for (std::int64_t i = 0; i < form.taps; ++i) largest = std::max(largest, groups.back().h[at(i * (form.taps + 1))]);
  }
  if (!(total > 0)) {
    for (std::int64_t g = 0; g < form.groups; ++g) {
      for (std::int32_t i = 0; i < form.taps; ++i) form.order.push_back(i);
      form.damping.push_back(0);
    }
    form.most.resize(form.order.size());
    return form;
  }
  form.shift = choose_shift(total, largest, -form.low, form.channels);
  const double scale = std::ldexp(1.0, -form.shift);
  for (std::int64_t g = 0; g < form.groups; ++g) {
    const Covariances& v = groups[at(g)];
    std::int32_t* const h = form.h.data() + g * form.taps * form.taps;
    for (std::size_t i = 0; i < v.h.size(); ++i) h[i] = static_cast<std::int32_t>(std::nearbyint(v.h[i] * scale));
    form.damping.push_back(v.damping * scale);
    for (std::int64_t i = 0; i < form.taps; ++i) {
      std::int64_t row = 0;
      for (std::int64_t j = 0; j < form.taps; ++j) row += std::abs(std::int64_t{h[i * form.taps + j]});
      form.most.push_back(-2 * std::int64_t{form.low} * row);
    }
    const std::vector<std::int32_t> order = falling_diagonal(h, form.taps);
    form.order.insert(form.order.end(), order.begin(), order.end());
  }

  for (std::int64_t k = 0; k < form.channels; ++k) {
    if (form.frozen[at(k)] != 0) continue;
    const std::int64_t g = form.group_of(k);
    const Covariances& v = groups[at(g)];
    const double step = unit(network, layer, params, at(k));
    const double per_target = std::ldexp(1.0, target_exponent) / step;
    const double per_weight = layer.gain[at(k)] * input_unit(network, layer) / step;
    for (std::int64_t j = 0; j < form.taps; ++j) {
      const double target =
          covariance(sums.rows, sums.xt[at(k * form.taps + j)], sums.x[at(g * form.taps + j)], sums.t[at(k)]) *
          per_target;
      const double pull = v.damping * static_cast<double>(layer.weights[at(k * form.taps + j)]) * per_weight;
      const auto most = static_cast<double>(form.most[at(g * form.taps + j)]);
      form.c[at(k * form.taps + j)] =
          static_cast<std::int64_t>(std::nearbyint(std::clamp((target + pull) * scale, -most, most)));
    }
  }
  return form;
}

std::int64_t gram_error(const GramForm& form, std::int64_t channel, const std::int8_t* codes) {
  const std::int32_t* const h = form.matrix(form.group_of(channel));
  const std::int64_t* const c = form.c.data() + channel * form.taps;
  std::int64_t error = 0;
  for (std::int64_t i = 0; i < form.taps; ++i) {
    if (codes[i] == 0) continue;
    std::int64_t sum = 0;
    for (std::int64_t j = 0; j < form.taps; ++j) sum += static_cast<std::int64_t>(h[i * form.taps + j]) * codes[j];
    error += codes[i] * (sum - 2 * c[i]);
  }
  return error;
}

void refit_gain_and_bias(const IntNetwork& network, const Layer& layer, const GramSums& sums, const GramForm& form,
                         int target_exponent, LayerParams& params) {
  const double target_unit = std::ldexp(1.0, target_exponent);
  for (std::int64_t k = 0; k < sums.channels; ++k) {
    if (params.frozen[at(k)] != 0) continue;
    const std::int8_t* const q = params.codes.data() + k * sums.taps;
    const std::int64_t* const x = sums.x.data() + form.group_of(k) * sums.taps;
    Wide product = 0, sum = 0;  // of accumulator and target; of the accumulator
    std::int64_t squares = 0, linear = 0;
    for (std::int64_t j = 0; j < sums.taps; ++j) {
      product += static_cast<Wide>(q[j]) * sums.xt[at(k * sums.taps + j)];
      sum += static_cast<Wide>(q[j]) * x[j];
      squares += q[j] * q[j];
      linear += q[j] * form.c[at(k * sums.taps + j)];
    }
    const double step = unit(network, layer, params, at(k));
    const double covariance = static_cast<double>(static_cast<Wide>(sums.rows) * product - sum * sums.t[at(k)]);
    const double power = static_cast<double>(gram_error(form, k, q) + 2 * linear) -
                         form.damping[at(form.group_of(k))] * static_cast<double>(squares);
    if (power > 0) {
      const double gain = covariance * target_unit / step * std::ldexp(1.0, -form.shift) / power;
      const auto multiplier =
          static_cast<float>(static_cast<double>(params.multiplier[at(k)]) * std::clamp(gain, kGainLow, kGainHigh));
      if (std::isnormal(multiplier)) params.multiplier[at(k)] = multiplier;
    }
    const auto rows = static_cast<double>(sums.rows);
    const double target_mean = static_cast<double>(sums.t[at(k)]) / rows * target_unit;
    const double accumulator_mean = static_cast<double>(sum) / rows;
    const double bias = target_mean / unit(network, layer, params, at(k)) - accumulator_mean;
    params.bias[at(k)] = saturated_bias(bias);
  }
}

std::int64_t gram_bytes(const FilterShape& filter, std::int64_t groups) {
  const std::int64_t square = groups * filter.taps() * filter.taps(), cross = filter.size();
  // sums (8 bytes), doubles on the way (8), the form (4) and a backend's reordered copy of it (4)
  return 24 * square + 24 * cross;
}

}  // namespace qnudge
