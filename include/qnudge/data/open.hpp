// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// The training or the test set that a config names. Throws Error(kind input) as the readers do (data/readers.hpp).
std::shared_ptr<const Dataset> open_dataset(const DataConfig& config, bool train);

}  // namespace qnudge
