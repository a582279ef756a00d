// SPDX-License-Identifier: MIT
#include "qnudge/model/index_map.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace qnudge {
namespace {

using Factor = IndexMap::Factor;
using Axis = IndexMap::Axis;

Extent extent_of(const Axis& axis) {
  Extent extent;
  for (const Factor& factor : axis) {
    if (factor.batch) {
      extent.batch = true;
    } else {
      extent.count *= factor.extent;
    }
  }
  return extent;
}

/// No factors of extent 1; neighbours that are one run become one factor.
Axis merge_runs(const Axis& factors) {
  Axis merged;
  for (const Factor& factor : factors) {
    if (factor.batch) {
      merged.push_back({1, 0, true});
    } else if (factor.extent == 1) {
      continue;
    } else if (!merged.empty() && !merged.back().batch && merged.back().stride == factor.stride * factor.extent) {
      merged.back() = {merged.back().extent * factor.extent, factor.stride};
    } else {
      merged.push_back(factor);
    }
  }
  return merged;
}

Axis flat(const std::vector<Axis>& axes) {
  Axis factors;
  for (const Axis& axis : axes) factors.insert(factors.end(), axis.begin(), axis.end());
  return factors;
}

/// Takes factors from the front of a list, splitting the last one where it is larger than needed.
class Dealer {
 public:
  Dealer(const std::vector<Axis>& axes, std::int64_t batch) : batch_(batch), factors_(merge_runs(flat(axes))) {}

  /// Factors of one axis; nothing if they do not fit. A single sample goes to the first axis that it touches.
  std::optional<Axis> deal(const Extent& target) {
    Axis axis;
    need_ = target.count;
    samples_ = target.batch;
    if (batch_ == 1) take_sample(axis);
    while (need_ > 1 || samples_) {
      if (empty() || !take(axis)) return std::nullopt;
    }
    return axis;
  }
  bool empty() const { return next_ == factors_.size(); }
  /// Moves the place of a single sample behind everything into `axis`.
  void take_sample(Axis& axis) {
    if (!empty() && factors_[next_].batch) axis.push_back(factors_[next_++]);
  }

 private:
  bool take(Axis& axis) {
    Factor& next = factors_[next_];
    if (next.batch) {
      if (batch_ == 0 ? !samples_ : need_ % batch_ != 0) return false;
      samples_ = false;
      if (batch_ > 0) need_ /= batch_;
    } else if (need_ % next.extent == 0) {
      need_ /= next.extent;
    } else if (next.extent % need_ == 0 && need_ > 1) {
      const std::int64_t inner = next.extent / need_;
      axis.push_back({need_, next.stride * inner});
      next.extent = inner;
      need_ = 1;
      return true;
    } else {
      return false;
    }
    axis.push_back(next);
    ++next_;
    return true;
  }

  std::int64_t batch_;
  Axis factors_;
  std::size_t next_ = 0;
  std::int64_t need_ = 1;  ///< elements that the axis at hand still lacks
  bool samples_ = false;   ///< it also lacks the samples
};

void append_places(const std::vector<Factor>& factors, std::size_t depth, std::int64_t place,
                   std::vector<std::int64_t>& places) {
  if (depth == factors.size()) {
    places.push_back(place);
    return;
  }
  const Factor& factor = factors[depth];
  for (std::int64_t i = 0; i < factor.extent; ++i) {
    append_places(factors, depth + 1, place + i * factor.stride, places);
  }
}

/// Elements of an axis that stand behind one sample before the next begins; 0 if all samples are in other axes.
std::int64_t behind_samples(const IndexMap::Axis& axis) {
  const auto sample = std::ranges::find_if(axis, &IndexMap::Factor::batch);
  if (sample == axis.end()) return 0;
  return std::accumulate(sample + 1, axis.end(), std::int64_t{1},
                         [](std::int64_t count, const IndexMap::Factor& factor) { return count * factor.extent; });
}

}  // namespace

std::int64_t elements(const Extents& dims) {
  std::int64_t count = 1;
  for (const Extent& extent : dims) count *= extent.count;
  return count;
}

std::string format_extents(const Extents& dims, std::int64_t batch) {
  std::vector<std::string> parts;
  for (const Extent& extent : dims) {
    if (!extent.batch || batch > 0) {
      parts.push_back(fmt::format("{}", extent.count * (extent.batch ? batch : 1)));
    } else {
      parts.push_back(extent.count == 1 ? "N" : fmt::format("{}N", extent.count));
    }
  }
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

IndexMap::IndexMap(std::vector<Axis> axes, std::int64_t offset) : axes_(std::move(axes)), offset_(offset) {
  normalise();
}

void IndexMap::normalise() {
  for (Axis& axis : axes_) axis = merge_runs(axis);
}

IndexMap IndexMap::row_major(const Extents& dims) {
  std::vector<Axis> axes(dims.size());
  std::int64_t stride = 1;
  for (std::size_t i = dims.size(); i-- > 0;) {
    if (dims[i].batch) axes[i].push_back({1, 0, true});
    axes[i].push_back({dims[i].count, stride});
    stride *= dims[i].count;
  }
  return IndexMap(std::move(axes));
}

Extents IndexMap::dims() const {
  Extents dims;
  for (const Axis& axis : axes_) dims.push_back(extent_of(axis));
  return dims;
}

std::optional<IndexMap> IndexMap::reshape(const Extents& target, std::int64_t batch) const {
  if (size() == 0) return row_major(target);
  Dealer dealer(axes_, batch);
  std::vector<Axis> axes;
  for (const Extent& extent : target) {
    auto axis = dealer.deal(extent);
    if (!axis) return std::nullopt;
    axes.push_back(*std::move(axis));
  }
  if (batch == 1 && !axes.empty()) dealer.take_sample(axes.back());
  if (!dealer.empty()) return std::nullopt;
  return IndexMap(std::move(axes), offset_);
}

IndexMap IndexMap::transpose(const std::vector<std::size_t>& order) const {
  std::vector<Axis> axes;
  for (const std::size_t from : order) axes.push_back(axes_[from]);
  return IndexMap(std::move(axes), offset_);
}

std::optional<IndexMap> IndexMap::slice(std::size_t axis, std::int64_t start, std::int64_t step,
                                        std::int64_t count) const {
  const Extent whole = extent_of(axes_[axis]);
  if (start == 0 && step == 1 && count == whole.count) return *this;
  IndexMap sliced = *this;
  if (count == 0) {
    sliced.axes_[axis] = {{0, 0}};
    return sliced;
  }
  if (whole.batch) return std::nullopt;
  // The inner factors must be taken whole, or a single element of the outer ones.
  Axis& factors = sliced.axes_[axis];
  std::int64_t inner = 1;
  std::size_t cut = factors.size();
  while (cut > 1 && start % (inner * factors[cut - 1].extent) == 0 && count % (inner * factors[cut - 1].extent) == 0 &&
         step == 1) {
    inner *= factors[--cut].extent;
  }
  if (cut == 0) return sliced;
  if (cut > 1) {
    // Several factors are cut: only a slice within one run of the innermost of them has a stride.
    const std::int64_t run = inner * factors[cut - 1].extent;
    const std::int64_t last = start + (count - 1) * step;
    if (start / run != last / run && count > 1) return std::nullopt;
    std::int64_t outer = start / run;
    for (std::size_t i = cut - 1; i-- > 0;) {
      sliced.offset_ += outer % factors[i].extent * factors[i].stride;
      outer /= factors[i].extent;
    }
    factors.erase(factors.begin(), factors.begin() + static_cast<std::ptrdiff_t>(cut) - 1);
    start %= run;
  }
  Factor& first = factors.front();
  sliced.offset_ += start / inner * first.stride;
  first = {count / inner, first.stride * step};
  sliced.normalise();
  return sliced;
}

IndexMap IndexMap::insert_axis(std::size_t axis) const {
  IndexMap wider = *this;
  wider.axes_.insert(wider.axes_.begin() + static_cast<std::ptrdiff_t>(axis), Axis{});
  return wider;
}

IndexMap IndexMap::remove_axis(std::size_t axis) const {
  IndexMap narrower = *this;
  const Axis& removed = axes_[axis];
  if (axis + 1 < rank()) {
    Axis& behind = narrower.axes_[axis + 1];
    behind.insert(behind.begin(), removed.begin(), removed.end());
  } else if (axis > 0) {
    Axis& before = narrower.axes_[axis - 1];
    before.insert(before.end(), removed.begin(), removed.end());
  }
  narrower.axes_.erase(narrower.axes_.begin() + static_cast<std::ptrdiff_t>(axis));
  return narrower;
}

IndexMap IndexMap::repeat(std::size_t axis, Extent extent) const {
  IndexMap repeated = *this;
  repeated.axes_[axis].clear();
  if (extent.batch) repeated.axes_[axis].push_back({1, 0, true});
  if (extent.count != 1) repeated.axes_[axis].push_back({extent.count, 0});
  return repeated;
}

IndexMap IndexMap::dense() const {
  std::vector<Axis> axes = axes_;
  std::int64_t stride = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    for (auto factor = axis->rbegin(); factor != axis->rend(); ++factor) {
      if (factor->batch) continue;
      factor->stride = stride;
      stride *= factor->extent;
    }
  }
  return IndexMap(std::move(axes));
}

IndexMap IndexMap::with_one_sample() const {
  std::vector<Axis> axes = axes_;
  const auto sample = [](const Factor& factor) { return factor.batch; };
  for (Axis& axis : axes) std::erase_if(axis, sample);
  const Extents all = IndexMap(axes).dims();
  const auto single = std::ranges::find(all, Extent{1});
  const auto at = single == all.end() ? std::size_t{0} : static_cast<std::size_t>(single - all.begin());
  axes[at].insert(axes[at].begin(), {1, 0, true});
  return IndexMap(std::move(axes), offset_);
}

std::optional<std::vector<IndexMap::Pair>> IndexMap::pairs(const IndexMap& first, const IndexMap& second) {
  std::vector<Pair> pairs;
  for (std::size_t axis = 0; axis < first.rank(); ++axis) {
    Axis a = first.axes_[axis], b = second.axes_[axis];
    if (behind_samples(a) != behind_samples(b)) return std::nullopt;
    std::erase_if(a, [](const Factor& factor) { return factor.batch; });
    std::erase_if(b, [](const Factor& factor) { return factor.batch; });
    const auto start = static_cast<std::ptrdiff_t>(pairs.size());
    while (!a.empty() && !b.empty()) {  // from the innermost factor on
      const std::int64_t extent = std::gcd(a.back().extent, b.back().extent);
      if (extent != std::min(a.back().extent, b.back().extent)) return std::nullopt;
      pairs.insert(pairs.begin() + start, {extent, a.back().stride, b.back().stride});
      for (Axis* list : {&a, &b}) {
        Factor& last = list->back();
        if (last.extent == extent) {
          list->pop_back();
        } else {
          last = {last.extent / extent, last.stride * extent};
        }
      }
    }
    if (!a.empty() || !b.empty()) return std::nullopt;
  }
  return pairs;
}

std::vector<std::int64_t> IndexMap::places() const {
  std::vector<Factor> factors;
  for (const Axis& axis : axes_) {
    for (const Factor& factor : axis) {
      if (!factor.batch) factors.push_back(factor);
    }
  }
  std::vector<std::int64_t> places;
  places.reserve(static_cast<std::size_t>(size()));
  append_places(factors, 0, offset_, places);
  return places;
}

bool IndexMap::identity() const {
  std::int64_t stride = 1;
  for (auto axis = axes_.rbegin(); axis != axes_.rend(); ++axis) {
    for (auto factor = axis->rbegin(); factor != axis->rend(); ++factor) {
      if (factor->batch) continue;
      if (factor->stride != stride) return false;
      stride *= factor->extent;
    }
  }
  return offset_ == 0;
}

}  // namespace qnudge
