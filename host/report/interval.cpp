// SPDX-License-Identifier: MIT
#include "qnudge/report/interval.hpp"

#include <algorithm>
#include <array>
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

/// 97.5 % quantile of Student's t. Beyond the table an expansion in 1 / degrees is right to 0.0001.
double student_quantile(std::int64_t degrees) {
  constexpr std::array<double, 30> kTable = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060,
                                             2.2622,  2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199,
                                             2.1098,  2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639,
                                             2.0595,  2.0555, 2.0518, 2.0484, 2.0452, 2.0423};
  if (degrees <= 30) return kTable[static_cast<std::size_t>(degrees - 1)];
  const double z = kNormalQuantile, f = static_cast<double>(degrees);
  return z + (std::pow(z, 3) + z) / (4 * f) + (5 * std::pow(z, 5) + 16 * std::pow(z, 3) + 3 * z) / (96 * f * f);
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

ShareInterval share_interval(double share, std::int64_t n) {
  require(n > 0 && share >= 0 && share <= 1, ErrorKind::internal, "share interval: {} of {} samples", share, n);
  const double samples = static_cast<double>(n), z2 = kNormalQuantile * kNormalQuantile;
  const double centre = (share + z2 / (2 * samples)) / (1 + z2 / samples);
  const double half =
      kNormalQuantile / (1 + z2 / samples) * std::sqrt(share * (1 - share) / samples + z2 / (4 * samples * samples));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

SeedInterval seed_interval(std::span<const double> values) {
  require(!values.empty(), ErrorKind::internal, "seed interval: no values");
  const auto n = static_cast<double>(values.size());
  SeedInterval result{.n = static_cast<std::int64_t>(values.size())};
  for (const double v : values) result.mean += v / n;
  result.low = result.high = result.mean;
  if (values.size() == 1) return result;
  double squares = 0;
  for (const double v : values) squares += (v - result.mean) * (v - result.mean);
  result.deviation = std::sqrt(squares / (n - 1));
  const double half = student_quantile(result.n - 1) * result.deviation / std::sqrt(n);
  result.low -= half;
  result.high += half;
  return result;
}

}  // namespace qnudge
