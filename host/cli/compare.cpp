// SPDX-License-Identifier: MIT
#include "qnudge/cli/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "qnudge/cli/load.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/half.hpp"

namespace qnudge {
namespace {

/// A tensor's value as a number: a code, a half, or a float of the output.
double value_at(const std::vector<std::uint8_t>& bytes, std::size_t element, std::size_t element_bytes) {
  if (element_bytes == 1) return std::bit_cast<std::int8_t>(bytes[element]);
  if (element_bytes == 2) {
    Half half;
    std::memcpy(&half, bytes.data() + element * element_bytes, sizeof half);
    return static_cast<double>(to_float(half));
  }
  float value = 0;
  std::memcpy(&value, bytes.data() + element * element_bytes, sizeof value);
  return value;
}

/// Elements of node `n`, whose bytes both backends must have returned.
std::size_t checked_elements(const IntNetwork& network, std::size_t n, const Tensors& first, const Tensors& second,
                             std::int64_t images) {
  const auto elements = static_cast<std::size_t>(network.nodes[n].shape.size() * images);
  const auto bytes = elements * static_cast<std::size_t>(network.element_bytes(static_cast<int>(n)));
  require(first[n].size() == bytes && second[n].size() == bytes, ErrorKind::internal,
          "node '{}': the backends returned {} and {} bytes for {} elements", network.nodes[n].name, first[n].size(),
          second[n].size(), elements);
  return elements;
}

}  // namespace

Tensors tensors_of(Backend& backend, const IntNetwork& network, const ImageSet& images) {
  Tensors tensors(network.nodes.size());
  const std::unique_ptr<Session> session = open_session(backend, network);
  session->visit_tensors(session->upload(images), [&](int node, std::span<const std::uint8_t> bytes) {
    tensors[static_cast<std::size_t>(node)].assign(bytes.begin(), bytes.end());
  });
  return tensors;
}

std::optional<Difference> first_difference(const IntNetwork& network, const Tensors& first, const Tensors& second,
                                           std::int64_t images) {
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    const std::int64_t size = network.nodes[n].shape.size();
    const std::size_t element_bytes = first[n].size() / checked_elements(network, n, first, second, images);
    const auto parted = std::mismatch(first[n].begin(), first[n].end(), second[n].begin()).first;
    if (parted == first[n].end()) continue;
    const std::size_t element = static_cast<std::size_t>(parted - first[n].begin()) / element_bytes;
    return Difference{.node = static_cast<int>(n),
                      .image = static_cast<std::int64_t>(element) / size,
                      .index = static_cast<std::int64_t>(element) % size,
                      .first = value_at(first[n], element, element_bytes),
                      .second = value_at(second[n], element, element_bytes)};
  }
  return std::nullopt;
}

Deviation largest_deviation(const IntNetwork& network, const Tensors& first, const Tensors& second,
                            std::int64_t images) {
  Deviation worst;
  for (std::size_t n = 0; n < network.nodes.size(); ++n) {
    const std::size_t elements = checked_elements(network, n, first, second, images);
    const std::size_t bytes = first[n].size() / elements;
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < elements; ++i) {
      const double a = value_at(first[n], i, bytes), b = value_at(second[n], i, bytes);
      largest = std::max(largest, std::abs(a));
      apart = std::max(apart, std::isnan(a - b) ? HUGE_VAL : std::abs(a - b));
    }
    const double share = apart == 0 ? 0 : apart / largest;
    if (!(share <= worst.share)) worst = {static_cast<int>(n), share};
  }
  return worst;
}

std::string difference_text(const IntNode& node, const Difference& at, const std::string& first,
                            const std::string& second) {
  const std::int64_t c = at.index % node.shape.c, w = at.index / node.shape.c % node.shape.w,
                     h = at.index / node.shape.c / node.shape.w;
  return fmt::format(
      "{0} and {1} differ first in node '{2}' ({3}), image {4}, index {5} (h {6}, w {7}, c {8}): "
      "{9} is {0}'s value, {10} is {1}'s\n",
      first, second, node.name, kind_of(node), at.image, at.index, h, w, c, at.first, at.second);
}

}  // namespace qnudge
