// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace qnudge {

/// Difference of two models' accuracies on the same samples (McNemar): only samples on which exactly one of them is
/// right carry information.
struct PairedInterval {
  std::int64_t n = 0;
  std::int64_t gained = 0;    ///< b: the first model is right, the second wrong
  std::int64_t lost = 0;      ///< c: the other way round
  double difference = 0;      ///< (b - c) / n, a fraction in [-1, 1]
  double standard_error = 0;  ///< sqrt(b + c - (b - c)^2 / n) / n
  double low = 0, high = 0;   ///< difference -+ 1.96 standard errors, cut to [-1, 1]
  double p_value = 1;         ///< exact: two-sided binomial test of b among b + c at one half; 1 if b + c = 0
};

/// One phrase that names interval and test, for reports.
inline constexpr const char* kPairedMethod = "paired (McNemar): 95 % normal interval, exact two-sided binomial p-value";

/// From the discordant counts alone. Throws Error(kind internal) unless n > 0, gained, lost >= 0 and
/// gained + lost <= n.
PairedInterval paired_interval(std::int64_t gained, std::int64_t lost, std::int64_t n);

/// Accuracy of `first` minus accuracy of `second`; all [n] classes. Throws Error(kind internal) when sizes differ or
/// n = 0.
PairedInterval paired_interval(std::span<const std::int32_t> labels, std::span<const std::int32_t> first,
                               std::span<const std::int32_t> second);

/// Mean of one difference per sample with its 95 % normal interval.
struct MeanInterval {
  std::int64_t n = 0;
  double mean = 0, low = 0, high = 0;
};
/// Throws Error(kind internal) for n = 0; a single sample has an interval of no width.
MeanInterval mean_interval(std::span<const double> differences);

/// A share of n samples with its 95 % Wilson interval.
struct ShareInterval {
  double low = 0, high = 1;
};
/// Throws Error(kind internal) unless n > 0 and share is in [0, 1].
ShareInterval share_interval(double share, std::int64_t n);

/// Mean over seeds, with what a second seed tells about the spread.
struct SeedInterval {
  std::int64_t n = 0;
  double mean = 0;
  double deviation = 0;      ///< sample standard deviation; 0 for a single seed
  double low = 0, high = 0;  ///< 95 %, Student's t with n - 1 degrees of freedom; of no width for a single seed
};
/// Throws Error(kind internal) for no values.
SeedInterval seed_interval(std::span<const double> values);

}  // namespace qnudge
