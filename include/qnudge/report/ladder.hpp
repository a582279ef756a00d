// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/report/interval.hpp"

namespace qnudge {

/// What one method did at one bit width with one seed.
struct LadderRun {
  std::string rung;  ///< method
  int bits = 0;
  std::uint64_t seed = 0;
  std::vector<std::int64_t> images;  ///< of the test set, by index
  std::vector<bool> right;           ///< per image
  double seconds = 0;                ///< wall clock to make the model
  std::int64_t evaluations = 0;      ///< candidates scored
};

/// One method at one bit width over its seeds.
struct LadderRow {
  std::string rung;
  int bits = 0;
  std::vector<double> accuracy;  ///< one fraction per seed, in the order of the runs
  double mean = 0;
  std::optional<double> deviation;  ///< sample standard deviation; from two seeds on
  /// Accuracy minus that of "nearest" and "descent" with the same seed: per image the mean over seeds, then its
  /// interval over images. Unset for the rung itself and where no seed is shared.
  std::optional<MeanInterval> over_nearest, over_descent;
  double seconds = 0, evaluations = 0;  ///< means over seeds
};

/// Rows in order of first appearance of (bits, rung). Throws Error(kind internal) for runs without images or of unequal
/// lengths.
std::vector<LadderRow> make_ladder(const std::vector<LadderRun>& runs);

std::string ladder_text(const std::vector<LadderRow>& rows);
std::string ladder_markdown(const std::vector<LadderRow>& rows);
/// An array of objects, JSON text.
std::string ladder_json(const std::vector<LadderRow>& rows);

}  // namespace qnudge
