// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/report/interval.hpp"

namespace qnudge {

/// Anomalies among time steps: a step is flagged (1) where its error is at least the threshold, all integers.
struct FlagCounts {
  std::int64_t true_positives = 0, false_positives = 0, false_negatives = 0;

  double precision() const;  ///< 0 if nothing is flagged
  double recall() const;     ///< 0 without anomalies
  double f1() const;         ///< 2 tp / (2 tp + fp + fn); 0 if there is neither flag nor anomaly
};

struct ChosenThreshold {
  std::int64_t threshold = 0;
  FlagCounts counts;  ///< on the steps that it was chosen on
};

/// The threshold with the highest F1 among the errors themselves; ties go to the highest. Throws Error(kind internal)
/// for sizes that differ or no steps.
ChosenThreshold choose_threshold(std::span<const std::int64_t> errors, std::span<const std::int32_t> labels);

std::vector<std::int32_t> flags(std::span<const std::int64_t> errors, std::int64_t threshold);
FlagCounts count_flags(std::span<const std::int32_t> labels, std::span<const std::int32_t> flagged);

constexpr int kResamples = 2000;
/// One phrase that names interval and test, for reports.
inline constexpr const char* kBlockMethod =
    "paired bootstrap of F1 over blocks of at most 500 time steps, 2000 resamples, thresholds kept: 95 % percentile "
    "interval, two-sided p-value; gained and lost count single time steps";

/// F1 of `first` minus F1 of `second`, flags of the same steps. Neighbouring steps are no independent samples, so whole
/// blocks of time ([steps], numbered from 0 in order) are drawn with replacement, the same for both, by seed. Throws
/// Error(kind internal) when sizes differ or n = 0.
PairedInterval paired_f1_interval(std::span<const std::int32_t> labels, std::span<const std::int32_t> first,
                                  std::span<const std::int32_t> second, std::span<const std::int32_t> blocks,
                                  std::uint64_t seed);

}  // namespace qnudge
