// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/core/files.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Of all that decides a result: operators, wiring, shapes, geometry and every constant; not of names.
std::string graph_fingerprint(const Graph& graph);

void add_window(Fingerprint& hash, const Window& window);

}  // namespace qnudge
