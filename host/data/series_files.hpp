// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/data/series.hpp"

namespace qnudge {

/// The training or the test series that a config names; of a folder, all files FILE_train or FILE_test with the
/// format's ending, by name.
std::shared_ptr<const Dataset> open_series(const DataConfig& config, bool train, const Dataset* trained);

}  // namespace qnudge
