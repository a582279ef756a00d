// SPDX-License-Identifier: MIT
#include "shared_scales.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace qnudge {

std::vector<std::string> lost_in_concat(const IntNetwork& network, std::int64_t count, const SampleReader& samples,
                                        const FloatPass& float_pass) {
  constexpr double kFewSteps = 4;
  const auto is_concat = [](const IntNode& node) { return kind_of(node) == "concat"; };
  if (network.half() || std::none_of(network.nodes.begin(), network.nodes.end(), is_concat)) return {};
  std::vector<float> ranges;
  FloatObservation observe;
  observe.ranges = &ranges;
  float_pass(count, samples, observe);
  const auto range = [&](const IntNode& node) { return ranges[static_cast<std::size_t>(node.source)]; };
  std::vector<std::string> sentences;
  for (const IntNode& node : network.nodes) {
    for (const int in : is_concat(node) ? node.inputs : std::vector<int>{}) {
      const IntNode& input = network.at(in);
      const double reach = static_cast<double>(range(input)), steps = std::ldexp(reach, -node.exponent);
      if (reach == 0 || steps >= kFewSteps) continue;
      sentences.push_back(
          fmt::format("node '{}': its input '{}' reaches {:.3g} and all of it {:.3g}; on the 8-bit scale that a "
                      "Concat's inputs share "
                      "that is {:.2g} steps of 127, and hardly anything of '{}' is left",
                      node.name, input.name, reach, static_cast<double>(range(node)), steps, input.name));
    }
  }
  return sentences;
}

}  // namespace qnudge
