// SPDX-License-Identifier: MIT
// Constants that stand where an operator reads activations, and padding that no window takes.
#include <algorithm>
#include <utility>

#include "elementwise.hpp"
#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

/// One element of `like` at every place of a tensor of extents `dims`, laid out as `like` is.
Value repeated_element(Builder& b, const Value& like, const Extents& dims) {
  std::vector<IndexMap::Axis> axes;
  for (const Extent& extent : dims)
    axes.push_back({extent.batch ? IndexMap::Factor{1, 0, true} : IndexMap::Factor{extent.count, 0}});
  Value all = b.computed(like);
  const std::size_t rank = dims.size();
  const bool image =
      (rank == 3 || rank == 4) && dims[0] == Extent{1, true} && all.map == channels_first(b.shape(all), rank - 2);
  all.map = IndexMap(std::move(axes));
  all.view.clear();
  all = image ? b.spatial(all) : b.row_major(all);
  all.sole = true;
  return all;
}

Value filled(Builder& b, const std::string& name, const Value& like, const Extents& dims, float fill) {
  const Value x = repeated_element(b, like, dims);
  return b.computed(apply_function(b, name, x, ScalarFunction::constant(static_cast<double>(fill))));
}

}  // namespace

Value as_activation(Builder& b, const std::string& name, const Value& like, const Value& constant,
                    const Extents& dims) {
  const KnownPtr known = b.known(constant);
  Extents own = known->dims;
  if (b.batch == 1 && !own.empty() && own[0] == Extent{1}) own[0].batch = true;
  check_supported(own == dims, "its constant has the shape {}; {} is needed", format_extents(known->dims, b.batch),
                  format_extents(dims, b.batch));
  Extents sample = dims;
  for (Extent& extent : sample) extent.batch = false;
  FloatTensor tensor{{}, known->is_real() ? known->reals : std::vector<float>{}};
  check_supported(known->is_real(), "its constant holds integers");
  for (const Extent& extent : sample) tensor.dims.push_back(extent.count);
  const float first = tensor.values.at(0);
  if (std::ranges::all_of(tensor.values, [&](float v) { return v == first; }))
    return filled(b, name, like, dims, first);
  const Value x = repeated_element(b, like, dims);
  if (const auto function = per_channel(b, x, tensor)) {
    return b.computed(apply_function(b, name, x, function->function, function->parameters));
  }
  return combine_with_tensor(b, name, CombineKind::add, filled(b, b.unique_name(name + "_zero"), like, dims, 0), tensor,
                             false);
}

Value padded_with(Builder& b, const std::string& name, const Value& x, const Pads& pads, float fill) {
  Value y = b.computed(x);
  y.padding = {};
  Extents dims = y.map.dims();
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    std::vector<Value> parts;
    const auto add = [&](std::int64_t count) {
      Extents own = dims;
      own[axis].count = count;
      if (count > 0) parts.push_back(filled(b, b.unique_name(name + "_fill"), y, own, fill));
    };
    const auto [before, behind] = pads[axis];
    if (before == 0 && behind == 0) continue;
    add(before);
    parts.push_back(y);
    add(behind);
    dims[axis].count += before + behind;
    y = b.join(b.unique_name(name + "_padded"), parts, axis, dims);
  }
  return y;
}

Value without_padding(Builder& b, const std::string& name, const Value& x) {
  if (x.padding.none()) return x;
  check_supported(!x.padding.least, "it reads padding by the smallest number; that is taken in front of pools alone");
  Pads pads(x.map.rank());
  pads[2] = {x.padding.top, x.padding.bottom};
  if (pads.size() == 4) pads[3] = {x.padding.left, x.padding.right};
  return padded_with(b, name, x, pads, 0);
}

}  // namespace qnudge
