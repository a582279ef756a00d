// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace qnudge {

/// Which place of its input an output element of a Resize lies at; the names are ONNX's.
enum class ResizeCoordinates {
  half_pixel,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  half_pixel_symmetric,
  tf_half_pixel_for_nn
};

/// ONNX's name, and back (nothing: another word).
std::string_view name_of(ResizeCoordinates coordinates);
std::optional<ResizeCoordinates> resize_coordinates(std::string_view name);

/// Scales that a Resize may have lie in (0, kMostResize).
constexpr float kMostResize = 1e6f;

/// One axis of a Resize.
struct ResizeAxis {
  ResizeCoordinates coordinates;
  std::int64_t in, out;
  float scale;

  /// floor(in * scale), as runtimes compute it.
  static std::int64_t resized(std::int64_t in, float scale);
  /// The place in the input of output element `o`, computed in float32 as runtimes do; it may lie outside.
  float place(std::int64_t o) const;
};

/// value = x[first] * (1 - part) + x[second] * part
struct ResizeNeighbours {
  std::int64_t first, second;
  float part;  ///< in [0, 1)
};

/// Of every output element of a linear interpolation; beyond its ends the input goes on as it ends.
std::vector<ResizeNeighbours> resize_neighbours(const ResizeAxis& axis);

}  // namespace qnudge
