// SPDX-License-Identifier: MIT
#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {

const DeviceFacet device_facets::input = {};

}  // namespace qnudge::cuda
