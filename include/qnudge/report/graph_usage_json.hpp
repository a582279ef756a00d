// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include "qnudge/backend/graph_usage.hpp"

namespace qnudge {

/// {"one_launch", "one_by_one", "nodes", "depth", "reasons"}, as in report.json and `bench tuning --json`.
nlohmann::ordered_json graph_usage_json(const GraphUsage& usage);

}  // namespace qnudge
