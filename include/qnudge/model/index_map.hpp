// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace qnudge {

/// Extent of one axis of a tensor: `count` elements per sample; with `batch`, count * N where N is the number of
/// samples.
struct Extent {
  std::int64_t count = 1;
  bool batch = false;
  friend bool operator==(const Extent&, const Extent&) = default;
};
using Extents = std::vector<Extent>;

/// Elements of one sample: the product of all counts.
std::int64_t elements(const Extents& dims);

/// "[N, 3, 2N]"; a fixed `batch` extent (0: symbolic) is written as a number.
std::string format_extents(const Extents& dims, std::int64_t batch = 0);

/// Where the elements of a tensor, in the row-major order of its logical axes, lie in the storage of one sample: each
/// axis is a list of factors (outermost first) of an extent and a stride, all counted from `offset`. Reshapes,
/// transpositions, slices and broadcasts then move no element, they edit this description. The samples are one more
/// factor, which has no stride because every sample has storage of its own; it may stand in any axis.
///
/// All extents are at least 0, and products of them must stay below 2^62.
class IndexMap {
 public:
  struct Factor {
    std::int64_t extent = 1, stride = 0;
    bool batch = false;  ///< the samples; extent and stride say nothing
    friend bool operator==(const Factor&, const Factor&) = default;
  };
  using Axis = std::vector<Factor>;

  IndexMap() = default;
  explicit IndexMap(std::vector<Axis> axes, std::int64_t offset = 0);

  /// Storage in the order of the axes; the samples outermost in the axis that has them.
  static IndexMap row_major(const Extents& dims);

  std::size_t rank() const { return axes_.size(); }
  Extents dims() const;
  std::int64_t size() const { return elements(dims()); }
  const std::vector<Axis>& axes() const { return axes_; }
  std::int64_t offset() const { return offset_; }

  /// The same elements in other axes; nothing if no factors say so (the elements must then be moved into row-major
  /// order first). `batch` = 0: `target` marks the axis with the samples. Otherwise every count of `target` is a total
  /// over `batch` samples, none is marked, and the axis with the samples is the one where their place comes to lie.
  std::optional<IndexMap> reshape(const Extents& target, std::int64_t batch = 0) const;
  /// Axis i of the result is axis order[i].
  IndexMap transpose(const std::vector<std::size_t>& order) const;
  /// Elements start, start + step, ... (`count` of them) of an axis without samples; nothing if no factors say so.
  std::optional<IndexMap> slice(std::size_t axis, std::int64_t start, std::int64_t step, std::int64_t count) const;
  /// An axis of extent 1 before `axis` (at most rank()).
  IndexMap insert_axis(std::size_t axis) const;
  /// Without an axis of extent 1; the place of a single sample moves to the axis behind it, or before the last one.
  IndexMap remove_axis(std::size_t axis) const;
  /// Repeats an axis of extent 1 without samples.
  IndexMap repeat(std::size_t axis, Extent extent) const;

  /// The same axes over storage of its own, in their order and without gaps.
  IndexMap dense() const;
  /// For a batch of one, whose place says nothing: it stands in the first axis of extent 1, else in the first.
  IndexMap with_one_sample() const;

  /// A factor that two maps have in common, and the stride that it has in each.
  struct Pair {
    std::int64_t extent, first, second;
  };
  /// The elements of two maps of equal extents side by side, outermost factor first, without the samples; nothing if no
  /// common factors exist or the samples stand elsewhere among them.
  static std::optional<std::vector<Pair>> pairs(const IndexMap& first, const IndexMap& second);

  /// Place of every element of one sample, in order.
  std::vector<std::int64_t> places() const;
  /// True if the elements lie in storage in their own order from 0 on, without gaps.
  bool identity() const;
  /// Equal places for equal logical indices: factors compared after merging neighbours.
  friend bool operator==(const IndexMap&, const IndexMap&) = default;

 private:
  void normalise();

  std::vector<Axis> axes_;
  std::int64_t offset_ = 0;
};

}  // namespace qnudge
