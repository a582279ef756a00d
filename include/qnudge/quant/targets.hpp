// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/core/mapped_file.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// What a layer is fitted to: the float model's values, before ReLU or Clip, of one node. That is the layer's own node,
/// or the addition behind it if nothing else reads the layer, no activation stands between them and the addition's
/// other input (the shortcut) depends on earlier layers only: then the layer makes good for the shortcut's error too.
struct TargetSite {
  int node = 0;
  int shortcut = -1;  ///< node; -1: the site is the layer's own node
  friend bool operator==(const TargetSite&, const TargetSite&) = default;
};
TargetSite target_site(const IntNetwork& network, int layer);

/// Float graph node whose values are the targets of `layer`.
int target_source(const IntNetwork& network, int layer);

/// Rows per image at which a layer with this output is observed: `wanted`, or all positions if there are fewer.
std::int64_t rows_per_image(const Shape& out, std::int64_t wanted);

/// Output positions y * W + x, [images, rows_per_image], ascending within an image: one drawn by seed from each of as
/// many equal stretches of the image.
std::vector<std::int32_t> draw_positions(std::uint64_t seed, int layer, const Shape& out, std::int64_t images,
                                         std::int64_t wanted);

/// Smallest exponent e, within +-kExponentLimit, at which `range` fits: range <= kTargetLimit * 2^e; 0 for range 0.
int target_exponent(double range);

/// One layer's targets. Image i is image i of the calibration set.
struct LayerTargets {
  TargetSite site;
  int exponent = 0;  ///< real value = value * 2^exponent
  std::int64_t images = 0, per_image = 0;
  std::vector<std::int32_t> positions;   ///< [images, per_image] y * W + x of the layer's output
  std::span<const std::int16_t> values;  ///< [images * per_image, K], at most kTargetLimit in magnitude
  std::int64_t rows() const { return images * per_image; }
};

/// The float model's values that closed forms and channel-wise strategies fit, one block of int16 per layer. Kept in a
/// file of its own beside reference.bin, which holds its fingerprint, and read through a memory map.
struct TargetTable {
  std::int64_t images = 0, per_image = 0;
  std::vector<int> exponents;  ///< [layers]
  std::string fingerprint;     ///< of the values; empty: this run needs none
  friend bool operator==(const TargetTable&, const TargetTable&) = default;
};

class TargetValues {
 public:
  /// Maps `path`. Throws Error(kind input) if it is not what `table` describes for this network.
  TargetValues(const std::filesystem::path& path, const IntNetwork& network, const TargetTable& table);
  /// The same in memory, [total], zeros.
  TargetValues(const IntNetwork& network, std::int64_t images, std::int64_t per_image);

  /// One layer's block, [images * rows_per_image, K].
  std::span<const std::int16_t> layer(int layer) const;
  std::span<std::int16_t> layer(int layer);  ///< in memory only
  std::string fingerprint() const;
  void save(const std::filesystem::path& path) const;

 private:
  void place(const IntNetwork& network, std::int64_t images, std::int64_t per_image);
  std::span<const std::int16_t> all() const;

  std::vector<std::size_t> first_;  // [layers + 1]
  std::vector<std::int16_t> own_;
  std::unique_ptr<MappedFile> file_;
};

}  // namespace qnudge
