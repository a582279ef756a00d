// SPDX-License-Identifier: MIT
#include "calibration_notes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace qnudge {
namespace {

/// Every pixel equals the first. `sample`: [H * W, channels].
template <class T>
bool is_constant(std::span<const T> sample, std::size_t channels) {
  return std::equal(sample.begin() + static_cast<std::ptrdiff_t>(channels), sample.end(), sample.begin());
}

struct Flatness {
  std::int64_t constant = 0, black = 0;  ///< samples with one value per channel; of these, with 0 alone
  bool all_equal = true;
};

template <class T>
Flatness flatness_of(std::span<const T> values, std::int64_t count, const Shape& shape) {
  Flatness found;
  const auto size = static_cast<std::size_t>(shape.size());
  const std::span<const T> first = values.first(size);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::span<const T> sample = values.subspan(static_cast<std::size_t>(i) * size, size);
    found.all_equal &= std::equal(sample.begin(), sample.end(), first.begin());
    if (!is_constant(sample, static_cast<std::size_t>(shape.c))) continue;
    ++found.constant;
    found.black += std::all_of(sample.begin(), sample.end(), [](T value) { return value == T{}; });
  }
  return found;
}

}  // namespace

std::vector<std::string> calibration_notes(const IntNetwork& network, const ImageSet& calibration, bool series) {
  std::vector<std::string> notes;
  const Shape& shape = network.nodes.front().shape;
  const std::int64_t n = calibration.count;
  const Flatness found = network.half() ? flatness_of(std::span(calibration.halves), n, shape)
                                        : flatness_of(std::span(calibration.codes), n, shape);
  const char* const samples = series ? "windows" : "images";
  if (shape.h * shape.w > 1 && found.constant > 0 && (found.constant == n || !series)) {
    notes.push_back(fmt::format(
        "{} of the {} calibration {} have one value per channel{}; scales and biases rest on what these samples show: "
        "are the data and their preprocessing right?",
        found.constant, n, samples, found.black > 0 ? fmt::format(", {} of them 0 (black)", found.black) : ""));
  } else if (n > 1 && found.all_equal) {
    notes.push_back(fmt::format(
        "all {} calibration {} are the same; scales and biases rest on that one: are the data and their preprocessing "
        "right?",
        n, samples));
  }
  for (const Layer& layer : network.layers) {
    if (!layer.constant) continue;
    const IntNode& input = network.at(network.at(layer.node).inputs.front());
    notes.push_back(fmt::format(
        "layer '{}': its input '{}' is 0 on all calibration {}, but has the scale of tensors that are not, too coarse "
        "for the layer's bias; so the layer gives its bias alone, whatever its weights",
        layer.name, input.name, samples));
  }
  return notes;
}

}  // namespace qnudge
