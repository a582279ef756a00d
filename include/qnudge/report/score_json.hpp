// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include "qnudge/report/run_report.hpp"

namespace qnudge {

/// {"metric", "value", "n"} and what goes with the metric, as in report.json.
nlohmann::ordered_json score_json(const Score& score);

}  // namespace qnudge
