// SPDX-License-Identifier: MIT
#include "qnudge/report/interval.hpp"

#include <algorithm>
#include <cmath>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

constexpr double kNormalQuantile = 1.959963984540054;  // of 97.5 %

/// P(X <= k) for X ~ Binomial(trials, 1/2), summed from the largest term down.
double binomial_half_cdf(std::int64_t k, std::int64_t trials) {
  const auto n = static_cast<double>(trials);
  const auto x = static_cast<double>(k);
  double term = std::exp(std::lgamma(n + 1) - std::lgamma(x + 1) - std::lgamma(n - x + 1) - n * std::log(2.0));
  double sum = 0;
  for (std::int64_t i = k; i >= 0 && term > sum * 1e-17; --i) {
    sum += term;
    term *= static_cast<double>(i) / static_cast<double>(trials - i + 1);
  }
  return std::min(sum, 1.0);
}

}  // namespace

PairedInterval paired_interval(std::int64_t gained, std::int64_t lost, std::int64_t n) {
  require(n > 0 && gained >= 0 && lost >= 0 && gained + lost <= n, ErrorKind::internal,
          "paired interval: {} gained and {} lost among {} samples; counts must be >= 0 and fit into n > 0", gained,
          lost, n);
  PairedInterval result{.n = n, .gained = gained, .lost = lost};
  const auto samples = static_cast<double>(n);
  const auto net = static_cast<double>(gained - lost);
  const auto discordant = static_cast<double>(gained + lost);
  result.difference = net / samples;
  result.standard_error = std::sqrt(std::max(0.0, discordant - net * net / samples)) / samples;
  result.low = std::max(-1.0, result.difference - kNormalQuantile * result.standard_error);
  result.high = std::min(1.0, result.difference + kNormalQuantile * result.standard_error);
  if (gained + lost > 0) {
    result.p_value = std::min(1.0, 2 * binomial_half_cdf(std::min(gained, lost), gained + lost));
  }
  return result;
}

PairedInterval paired_interval(std::span<const std::int32_t> labels, std::span<const std::int32_t> first,
                               std::span<const std::int32_t> second) {
  require(labels.size() == first.size() && labels.size() == second.size(), ErrorKind::internal,
          "paired interval: {} labels, {} and {} predictions; all three must be equally many", labels.size(),
          first.size(), second.size());
  std::int64_t gained = 0, lost = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool first_right = first[i] == labels[i];
    const bool second_right = second[i] == labels[i];
    gained += first_right && !second_right;
    lost += !first_right && second_right;
  }
  return paired_interval(gained, lost, static_cast<std::int64_t>(labels.size()));
}

MeanInterval mean_interval(std::span<const double> differences) {
  require(!differences.empty(), ErrorKind::internal, "mean interval: no samples");
  const auto n = static_cast<double>(differences.size());
  double sum = 0, squares = 0;
  for (const double d : differences) sum += d;
  const double mean = sum / n;
  for (const double d : differences) squares += (d - mean) * (d - mean);
  const double error = std::sqrt(squares) / n;
  return {static_cast<std::int64_t>(differences.size()), mean, mean - kNormalQuantile * error,
          mean + kNormalQuantile * error};
}

}  // namespace qnudge
