// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// `make_splits` of windows of series: see Splits.
Splits make_series_splits(const Dataset& train, const Dataset& test, const SplitRequest& request);

}  // namespace qnudge
