// SPDX-License-Identifier: MIT
#include "host/model/primitives.hpp"

namespace qnudge::model_facets {

const ModelFacet input = {.kind = [](const Node&) -> std::string_view { return "input"; },
                          .shape = nullptr,
                          .fingerprint = [](const Node&, Fingerprint&) {},
                          .write = nullptr};

}  // namespace qnudge::model_facets
