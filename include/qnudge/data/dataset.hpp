// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/shape.hpp"

namespace qnudge {

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
};

/// Indices into a dataset.
using Indices = std::vector<std::int64_t>;

/// The disjoint sets of a run. In the held-out protocol fitness, calibration and gate index the training set; fitness
/// and gate are disjoint, calibration never meets gate. In the paper's protocol fitness indexes the test set (leaky).
/// Where the test images come from the training set too, they meet none of the others (but the paper's fitness).
struct Splits {
  Indices calibration, fitness, gate, test;
  bool fitness_from_test = false;
};

struct SplitRequest {
  std::int64_t calibration = 1024, fitness = 1024, gate = 1024;
  std::int64_t test = 0;         ///< 0: all; from the training set: all that is left
  bool test_from_train = false;  ///< both datasets are the same
  bool paper_protocol = false;
  std::uint64_t seed = 1;
};

/// Class-balanced draws by seed: within each set, class counts differ by at most one where the data allow it. Which
/// classes a set smaller than their number gets is drawn too. Throws Error(kind usage) when the training set is too
/// small for disjoint sets.
Splits make_splits(const Dataset& train, const Dataset& test, const SplitRequest& request);

}  // namespace qnudge
