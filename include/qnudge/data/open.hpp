// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// The training or the test set that a config names (with test_from = "train" there is none). `threads`: for formats
/// that are decoded, 0: one per core. Throws Error as the readers do (data/readers.hpp).
std::shared_ptr<const Dataset> open_dataset(const DataConfig& config, bool train, int threads = 0);

}  // namespace qnudge
