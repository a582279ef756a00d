// SPDX-License-Identifier: MIT
#include "qnudge/quant/targets.hpp"

#include <algorithm>
#include <cmath>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

/// Largest ordinal of a layer that each node depends on (its own included); -1 without any.
std::vector<int> last_layers(const IntNetwork& network) {
  std::vector<int> last;
  for (const IntNode& node : network.nodes) {
    int own = node.layer();
    for (const int in : node.inputs) own = std::max(own, last[static_cast<std::size_t>(in)]);
    last.push_back(own);
  }
  return last;
}

}  // namespace

TargetSite target_site(const IntNetwork& network, int layer) {
  const int node = network.layer(layer).node;
  const TargetSite own{node, -1};
  std::vector<int> readers;
  for (int i = 0; i < static_cast<int>(network.nodes.size()); ++i) {
    for (const int in : network.at(i).inputs) {
      if (in == node) readers.push_back(i);
    }
  }
  const IntNode& from = network.at(node);
  if (readers.size() != 1 || node == network.output || from.low != -128 || from.high != 127) return own;
  const IntNode& sum = network.at(readers.front());
  if (!sum_multipliers(sum)) return own;
  const int shortcut = sum.inputs[sum.inputs[0] == node ? 1 : 0];
  return last_layers(network)[static_cast<std::size_t>(shortcut)] < layer ? TargetSite{readers.front(), shortcut} : own;
}

int target_source(const IntNetwork& network, int layer) {
  return network.at(target_site(network, layer).node).linear_source;
}

std::int64_t rows_per_image(const Shape& out, std::int64_t wanted) {
  return std::min(wanted, out.h * out.w);
}

std::vector<std::int32_t> draw_positions(std::uint64_t seed, int layer, const Shape& out, std::int64_t images,
                                         std::int64_t wanted) {
  const std::int64_t all = out.h * out.w, rows = rows_per_image(out, wanted);
  std::vector<std::int32_t> positions;
  positions.reserve(static_cast<std::size_t>(images * rows));
  for (std::int64_t image = 0; image < images; ++image) {
    const DrawAddress at{.candidate = static_cast<std::uint32_t>(image),
                         .layer = static_cast<std::uint32_t>(layer),
                         .purpose = Purpose::sample_rows};
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::uint64_t word =
          draw_block(Random123Philox{}, seed, at, static_cast<std::uint32_t>(row / 4)).v[row % 4];
      const std::int64_t first = row * all / rows, last = (row + 1) * all / rows;
      const auto offset = static_cast<std::int64_t>((word * static_cast<std::uint64_t>(last - first)) >> 32);
      positions.push_back(static_cast<std::int32_t>(first + offset));
    }
  }
  return positions;
}

int target_exponent(double range) {
  if (range == 0.0) return 0;
  int exponent = 0;
  std::frexp(range / kTargetLimit, &exponent);  // range / limit in [2^(exponent - 1), 2^exponent)
  if (range <= std::ldexp(1.0 * kTargetLimit, exponent - 1)) --exponent;
  return std::clamp(exponent, -kExponentLimit, kExponentLimit);
}

TargetValues::TargetValues(const std::filesystem::path& path, const IntNetwork& network, const TargetTable& table)
    : file_(std::make_unique<MappedFile>(path)) {
  place(network, table.images, table.per_image);
  require(file_->bytes().size() == first_.back() * sizeof(std::int16_t) && fingerprint() == table.fingerprint,
          ErrorKind::input, "{}: is not what reference.bin beside it was written with", path.string());
}

TargetValues::TargetValues(const IntNetwork& network, std::int64_t images, std::int64_t per_image) {
  place(network, images, per_image);
  own_.resize(first_.back());
}

void TargetValues::place(const IntNetwork& network, std::int64_t images, std::int64_t per_image) {
  std::size_t at = 0;
  for (const Layer& layer : network.layers) {
    first_.push_back(at);
    at += static_cast<std::size_t>(images * rows_per_image(layer.out, per_image) * layer.out.c);
  }
  first_.push_back(at);
}

std::span<const std::int16_t> TargetValues::all() const {
  if (!file_) return own_;
  return {reinterpret_cast<const std::int16_t*>(file_->bytes().data()), first_.back()};
}

std::span<const std::int16_t> TargetValues::layer(int layer) const {
  const auto l = static_cast<std::size_t>(layer);
  return all().subspan(first_[l], first_[l + 1] - first_[l]);
}

std::span<std::int16_t> TargetValues::layer(int layer) {
  const auto l = static_cast<std::size_t>(layer);
  return std::span(own_).subspan(first_[l], first_[l + 1] - first_[l]);
}

std::string TargetValues::fingerprint() const {
  return Fingerprint().add_values(all()).hex();
}

void TargetValues::save(const std::filesystem::path& path) const {
  const auto values = all();
  write_file_atomically(path, std::span(reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()));
}

}  // namespace qnudge
