// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/shape.hpp"

namespace qnudge {

/// How a set of time series is put on the network's scale: (x - offset) / scale per sensor.
struct SeriesScaling {
  std::vector<std::string> names;  ///< of the sensors
  std::vector<double> offset, scale;
};

/// Labelled samples, read on demand. Implementations are safe to read from several threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual Shape shape() const = 0;                           ///< of one sample
  virtual std::int64_t size() const = 0;                     ///< samples
  virtual std::int64_t classes() const = 0;                  ///< labels are in [0, classes)
  virtual std::span<const std::int32_t> labels() const = 0;  ///< [size]
  /// Preprocessed sample `index` as floats, HWC; `out` has shape().size() elements.
  virtual void read(std::int64_t index, std::span<float> out) const = 0;
  virtual const std::string& fingerprint() const = 0;  ///< of samples, labels and preprocessing
  virtual std::string description() const = 0;         ///< for reports: format, files, count

  /// Windows of time series; independent samples have no runs.
  struct Run {
    std::int64_t first = 0, count = 0;
  };
  /// Stretches of samples, each the one before it moved on by a row, in order; together they are the whole set.
  virtual std::span<const Run> runs() const { return {}; }
  virtual std::int64_t overlap() const { return 0; }  ///< samples of a run at most this far apart share rows
  virtual const SeriesScaling* scaling() const { return nullptr; }
};

/// Series are given back by their network and judged by how well; independent samples are classified.
inline bool is_series(const Dataset& data) {
  return !data.runs().empty();
}

/// Indices into a dataset.
using Indices = std::vector<std::int64_t>;

/// The disjoint sets of a run. In the held-out protocol fitness, calibration and gate index the training set; fitness
/// and gate are disjoint, calibration never meets gate. In the paper's protocol fitness indexes the test set (leaky);
/// on request gate does, which test then never meets. Where the test images come from the training set too, they meet
/// none of the others (but the paper's fitness).
///
/// Windows of series overlap, so their sets are parted in time: gate comes from the last quarter of every training run,
/// fitness and calibration from what is before it; `threshold` is the first part of every test run, `test` the rest. No
/// row is shared across a border.
struct Splits {
  Indices calibration, fitness, gate, test;
  Indices threshold;  ///< series only: labelled windows of the test set on which the threshold is chosen
  bool fitness_from_test = false, gate_from_test = false;
};

struct SplitRequest {
  std::int64_t calibration = 1024, fitness = 1024, gate = 1024;
  std::int64_t test = 0;         ///< 0: all; from the training set: all that is left
  bool test_from_train = false;  ///< both datasets are the same
  bool gate_from_test = false;   ///< independent samples in the held-out protocol, two datasets
  bool paper_protocol = false;
  std::uint64_t seed = 1;
  double threshold_part = 0.5;  ///< series: of every test run
};

/// Class-balanced draws by seed: within each set, class counts differ by at most one where the data allow it. Which
/// classes a set smaller than their number gets is drawn too. Throws Error(kind usage) when the training set is too
/// small for disjoint sets. Of series, fitness, calibration and gate are drawn by seed; threshold and test are whole
/// and in order, or evenly thinned to `test` windows each.
Splits make_splits(const Dataset& train, const Dataset& test, const SplitRequest& request);

/// Throws Error(kind usage) where sets of `train` and `test` independent samples are too small for the request.
void check_split_sizes(std::int64_t train, std::int64_t test, const SplitRequest& request);

/// Throws Error(kind input) where threshold or test windows of series have no anomaly or nothing else: F1 needs both.
void require_both_kinds(const Dataset& test, const Splits& splits);

/// Windows of series, thinned or not but in order: the number of the block of time that each of `indices` lies in, at
/// most kBlockSteps long and within one run, counted from 0. Empty for independent samples.
constexpr std::int64_t kBlockSteps = 500;
std::vector<std::int32_t> time_blocks(const Dataset& data, const Indices& indices);

}  // namespace qnudge
