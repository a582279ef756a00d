// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// Output of every node for some images, [nodes] bytes each: int8 codes or halves, or fp32 where the output is float.
using Tensors = std::vector<std::vector<std::uint8_t>>;

Tensors tensors_of(Backend& backend, const IntNetwork& network, const ImageSet& images);

/// Where two backends part.
struct Difference {
  int node = 0;
  std::int64_t image = 0, index = 0;  ///< index within the image, HWC
  double first = 0, second = 0;       ///< the two values
};

/// The first difference in node order, then image, then index; bytes are compared, so NaN equals itself and -0 differs
/// from 0. Throws Error(kind internal) when the sizes fit neither codes nor floats of the network's shapes.
std::optional<Difference> first_difference(const IntNetwork& network, const Tensors& first, const Tensors& second,
                                           std::int64_t images);

/// How far apart two backends are with half activations, whose sums they may round differently.
struct Deviation {
  int node = 0;      ///< where it is largest
  double share = 0;  ///< largest |difference| in a tensor, as a share of the tensor's largest |value|
};
/// Bound within which backends with half activations count as equal. Half precision itself rounds by 2^-11; a network
/// hands that on from layer to layer.
constexpr double kHalfTolerance = 1.0 / 64;

/// Throws Error(kind internal) as `first_difference` does.
Deviation largest_deviation(const IntNetwork& network, const Tensors& first, const Tensors& second,
                            std::int64_t images);

/// One sentence with node, operator, image, index, place and values; `first` and `second` name the backends.
std::string difference_text(const IntNode& node, const Difference& at, const std::string& first,
                            const std::string& second);

}  // namespace qnudge
