// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/core/shape.hpp"

namespace qnudge {

/// Where the elements of an output come from, per sample, in the physical order (NHWC) of inputs and output. Boxes of
/// elements that lie at regular distances; those next to each other are copied as one run.
struct ElementMap {
  static constexpr std::size_t kMostAxes = 12;  ///< of a box
  struct Axis {
    std::int64_t extent = 1, from = 0, to = 0;  ///< elements apart in the input and in the output
    friend bool operator==(const Axis&, const Axis&) = default;
  };
  struct Box {
    int input = 0;                  ///< ordinal among the node's inputs
    std::int64_t from = 0, to = 0;  ///< first element
    std::vector<Axis> axes;         ///< outermost first
    friend bool operator==(const Box&, const Box&) = default;
  };
  std::vector<Box> boxes;  ///< together every output element once; none: the identity, a view that copies nothing

  bool identity() const { return boxes.empty(); }
  friend bool operator==(const ElementMap&, const ElementMap&) = default;
};

/// Concatenation along channels of inputs of equal height and width.
ElementMap joined_channels(std::span<const Shape> inputs);

}  // namespace qnudge
