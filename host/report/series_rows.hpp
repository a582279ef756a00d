// SPDX-License-Identifier: MIT
#pragma once

#include <optional>

#include "qnudge/report/run_report.hpp"

namespace qnudge {

/// Rows of a run on series; see ClassRows in run_report.cpp.
class SeriesRows {
 public:
  /// `held_back`: test positions outside the fitness set, in the paper's protocol.
  SeriesRows(const TuneResult& result, std::uint64_t seed, std::optional<std::vector<std::size_t>> held_back);

  ModelReport float_model() const;
  ModelReport integer_model(const char* name, const ModelScores& scores) const;
  Comparison compare(bool held_back) const;

 private:
  ModelReport row(const char* name, const std::vector<std::int64_t>& fitness, const std::vector<std::int64_t>& gate,
                  const std::vector<std::int64_t>& threshold, const std::vector<std::int64_t>& test) const;
  PairedInterval difference(const ModelScores& first, const ModelScores& second, bool held_back) const;

  const TuneResult& result_;
  std::uint64_t seed_;
  std::optional<std::vector<std::size_t>> held_back_;
  std::int64_t values_;
  int exponent_;
};

}  // namespace qnudge
