// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// The training or the test set that a config names (with test_from = "train" there is none). `threads`: for formats
/// that are decoded, 0: one per core. `trained`: the training set beside a test set of series, which takes its scaling.
/// Throws Error as the readers do (data/readers.hpp).
std::shared_ptr<const Dataset> open_dataset(const DataConfig& config, bool train, int threads = 0,
                                            const Dataset* trained = nullptr);

/// What is known of a set without reading its samples.
struct DatasetOutline {
  Shape shape;
  std::int64_t size = 0;
};

/// From headers, sizes of files and names of images; none for series, whose rows must be read. Throws Error as the
/// readers do.
std::optional<DatasetOutline> outline_dataset(const DataConfig& config, bool train);

}  // namespace qnudge
