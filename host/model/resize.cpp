// SPDX-License-Identifier: MIT
#include "qnudge/model/resize.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace qnudge {
namespace {

/// In the order of ResizeCoordinates.
constexpr std::array<std::string_view, 6> kNames = {"half_pixel", "pytorch_half_pixel",   "align_corners",
                                                    "asymmetric", "half_pixel_symmetric", "tf_half_pixel_for_nn"};

}  // namespace

std::string_view name_of(ResizeCoordinates coordinates) {
  return kNames[static_cast<std::size_t>(coordinates)];
}

std::optional<ResizeCoordinates> resize_coordinates(std::string_view name) {
  const auto* const it = std::ranges::find(kNames, name);
  if (it == kNames.end()) return std::nullopt;
  return static_cast<ResizeCoordinates>(it - kNames.begin());
}

std::int64_t ResizeAxis::resized(std::int64_t in, float scale) {
  return static_cast<std::int64_t>(std::floor(static_cast<float>(in) * scale));
}

float ResizeAxis::place(std::int64_t o) const {
  const auto at = static_cast<float>(o), n = static_cast<float>(in), m = static_cast<float>(out);
  switch (coordinates) {
    case ResizeCoordinates::half_pixel:
      break;
    case ResizeCoordinates::pytorch_half_pixel:
      if (out == 1) return 0;
      break;
    case ResizeCoordinates::align_corners:
      return out > 1 ? at * (n - 1) / (m - 1) : 0.0f;
    case ResizeCoordinates::asymmetric:
      return at / scale;
    case ResizeCoordinates::half_pixel_symmetric:
      return n / 2 * (1 - m / (scale * n)) + (at + 0.5f) / scale - 0.5f;
    case ResizeCoordinates::tf_half_pixel_for_nn:
      return (at + 0.5f) / scale;
  }
  return (at + 0.5f) / scale - 0.5f;
}

std::vector<ResizeNeighbours> resize_neighbours(const ResizeAxis& axis) {
  std::vector<ResizeNeighbours> all;
  for (std::int64_t o = 0; o < axis.out; ++o) {
    const float at = std::clamp(axis.place(o), 0.0f, static_cast<float>(axis.in - 1));
    const auto first = static_cast<std::int64_t>(at);
    all.push_back({first, std::min(first + 1, axis.in - 1), at - static_cast<float>(first)});
  }
  return all;
}

}  // namespace qnudge
