// SPDX-License-Identifier: MIT
#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

std::optional<std::string> reject(const IntNetwork& network, const IntNode& node, bool flattened) {
  if (flattened && !network.layer(node.layer()).gemm) return flattened_has_no_form(node);
  return std::nullopt;
}

}  // namespace

const DeviceFacet device_facets::layer = {.reject = reject};

}  // namespace qnudge::cuda
