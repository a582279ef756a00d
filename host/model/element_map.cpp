// SPDX-License-Identifier: MIT
#include "qnudge/model/element_map.hpp"

namespace qnudge {

ElementMap joined_channels(std::span<const Shape> inputs) {
  std::int64_t channels = 0, first = 0;
  for (const Shape& in : inputs) channels += in.c;
  ElementMap map;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Shape& in = inputs[i];
    map.boxes.push_back({static_cast<int>(i), 0, first, {{in.h * in.w, in.c, channels}, {in.c, 1, 1}}});
    first += in.c;
  }
  return map;
}

}  // namespace qnudge
