// SPDX-License-Identifier: MIT
#include <algorithm>
#include <functional>
#include <utility>

#include "importer.hpp"
#include "primitives.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using Factor = IndexMap::Factor;

constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;  ///< of one activation of one sample
constexpr std::string_view kTooMuchFolded =
    "computing constants up to here takes more elements than a model of this size can need";

/// Within [1, kMaxElements], without overflow whatever the extents.
bool acceptable(const Shape& shape) {
  const auto fits = [](std::int64_t extent) { return extent >= 1 && extent <= kMaxElements; };
  return fits(shape.h) && fits(shape.w) && fits(shape.c) && shape.h * shape.w <= kMaxElements &&
         shape.h * shape.w <= kMaxElements / shape.c;
}

/// Factors other than the samples, in order.
std::vector<Factor> element_factors(const IndexMap& map) {
  std::vector<Factor> factors;
  for (const IndexMap::Axis& axis : map.axes()) {
    std::ranges::copy_if(axis, std::back_inserter(factors), [](const Factor& factor) { return !factor.batch; });
  }
  return factors;
}

/// True if the map names every one of `count` elements once.
bool is_permutation(const IndexMap& map, std::int64_t count) {
  std::vector<Factor> factors = element_factors(map);
  std::ranges::sort(factors, {}, &Factor::stride);
  std::int64_t stride = 1;
  for (const Factor& factor : factors) {
    if (factor.stride != stride) return false;
    stride *= factor.extent;
  }
  return map.offset() == 0 && stride == count;
}

/// Elements of `from` to the places that `to` gives them, in the order of those.
std::optional<ElementMap::Box> to_box(int input, const IndexMap& from, const IndexMap& to) {
  auto pairs = IndexMap::pairs(from, to);
  if (!pairs) return std::nullopt;
  std::ranges::stable_sort(*pairs, std::greater<>(), &IndexMap::Pair::second);
  ElementMap::Box box{.input = input, .from = from.offset(), .to = to.offset()};
  for (const auto& [extent, first, second] : *pairs) {
    if (!box.axes.empty() && box.axes.back().from == first * extent && box.axes.back().to == second * extent) {
      box.axes.back() = {box.axes.back().extent * extent, first, second};
    } else {
      box.axes.push_back({extent, first, second});
    }
  }
  if (box.axes.empty()) box.axes.push_back({1, 1, 1});
  check_supported(box.axes.size() <= ElementMap::kMostAxes, "it moves elements along more than {} axes",
                  ElementMap::kMostAxes);
  return box;
}

}  // namespace

Node make_node(FloatPrimitive what, std::string name, std::vector<int> inputs, const Shape& shape) {
  Node node;
  node.what = std::move(what);
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.shape = shape;
  return node;
}

IndexMap channels_first(const Shape& s, std::size_t spatial_rank) {
  std::vector<IndexMap::Axis> axes{{{1, 0, true}}, {{s.c, 1}}, {{s.h, s.w * s.c}}};
  if (spatial_rank == 2) axes.push_back({{s.w, s.c}});
  return IndexMap(std::move(axes));
}

IndexMap features(std::int64_t count) {
  return IndexMap({{{1, 0, true}}, {{count, 1}}});
}

Extents Builder::extents(const Value& value) {
  if (value.activation()) {
    Extents dims = value.map.dims();
    const Padding& p = value.padding;
    if (!p.none()) dims[2].count += p.top + p.bottom;
    if (dims.size() == 4) dims[3].count += p.left + p.right;
    return dims;
  }
  if (value.known) return value.known->dims;
  Extents dims;
  for (const std::int64_t extent : dims_of(*value.stored)) dims.push_back({extent});
  return dims;
}

std::string Builder::describe(const Value& value) {
  return format_extents(extents(value), batch);
}

Affine Builder::number(const Extent& extent) const {
  if (!extent.batch) return {extent.count};
  return batch > 0 ? Affine{extent.count * batch} : Affine{0, extent.count};
}

std::string Builder::unique_name(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !names.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

Shape Builder::output_of(const Node& node) const {
  std::vector<Shape> inputs;
  for (const int input : node.inputs) inputs.push_back(graph.nodes[static_cast<std::size_t>(input)].shape);
  return shape_of(node, inputs);
}

Value Builder::add(Node node, IndexMap map) {
  node.shape = output_of(node);
  check(acceptable(node.shape), "its output of {} x {} positions and {} channels is outside 1 to 2^31 elements",
        node.shape.h, node.shape.w, node.shape.c);
  if (node.layer() != nullptr) weight_count += node.layer()->filter.size();
  check(weight_count <= max_weights,
        "the nodes up to here hold {} weights, more than {}: too many nodes share a tensor", weight_count, max_weights);
  const auto flattens = model_facet(node).flattens;
  flat_.push_back((flattens != nullptr && flattens(node)) ||
                  (!node.inputs.empty() && flat_[static_cast<std::size_t>(node.inputs[0])]));
  graph.nodes.push_back(std::move(node));
  return {.node = static_cast<int>(graph.nodes.size()) - 1, .map = std::move(map)};
}

Value Builder::add_spatial(Node node, std::size_t spatial_rank) {
  const Shape out = output_of(node);
  return add(std::move(node), channels_first(out, spatial_rank));
}

std::string Builder::name_of_view(const Value& value) {
  if (!value.view.empty() && views_.insert(value.view).second) return value.view;
  return unique_name((value.view.empty() ? node(value).name : value.view) + "_view");
}

std::optional<Value> Builder::move(const Value& value, const IndexMap& to, const Shape& out) {
  auto box = to_box(0, value.map, to);
  if (!box) return std::nullopt;
  Value moved = value;
  moved.map = to;
  const auto known_already = std::ranges::find_if(
      moved_, [&](const Moved& other) { return other.from == value.node && other.shape == out && other.box == *box; });
  if (known_already == moved_.end()) {
    moved_.push_back({value.node, *box, out, -1});
    moved.node = add(make_node(FloatMove{{{*std::move(box)}}}, name_of_view(value), {value.node}, out), {}).node;
    moved_.back().node = moved.node;
  } else {
    moved.node = known_already->node;
  }
  return moved;
}

Value Builder::spatial(const Value& value) {
  const Extents dims = value.map.dims();
  check_supported(dims.size() == 3 || dims.size() == 4, "it reads {}; [N, C, L] or [N, C, H, W] is needed",
                  describe(value));
  check_supported(dims[0] == (Extent{1, true}), "it reads {}, whose first axis is not that of the samples",
                  describe(value));
  const Shape wanted{dims[2].count, dims.size() == 4 ? dims[3].count : 1, dims[1].count};
  const IndexMap map = channels_first(wanted, dims.size() - 2);
  if (shape(value) == wanted && value.map == map && !is_flat(value)) return value;
  return *move(value, map, wanted);
}

Value Builder::flat(const Value& value) {
  const Extents dims = value.map.dims();
  check_supported(dims.size() == 2 && dims[0] == (Extent{1, true}), "it reads {}; [N, features] is needed",
                  describe(value));
  if (!is_permutation(value.map, shape(value).size())) return flat(row_major(value));
  if (is_flat(value)) return value;
  // ONNX's order of the features stays in the map; the node is a view.
  const Shape same = shape(value);
  const auto known_already =
      std::ranges::find_if(moved_, [&](const Moved& moved) { return moved.from == value.node && !moved.box; });
  Value flattened = value;
  if (known_already != moved_.end()) {
    flattened.node = known_already->node;
    return flattened;
  }
  flattened.node = add(make_node(FloatMove{}, name_of_view(value), {value.node}, same), {}).node;
  moved_.push_back({value.node, {}, same, flattened.node});
  return flattened;
}

Value Builder::row_major(const Value& value) {
  const Extents dims = value.map.dims();
  const std::int64_t last = dims.back().count, whole = value.map.size();
  const Shape wanted{whole / std::max<std::int64_t>(last, 1), 1, last};
  check(acceptable(wanted), "it moves {} into an order of 1 to 2^31 elements", describe(value));
  const IndexMap map = value.map.dense();
  if (shape(value) == wanted && value.map == map) return value;
  return *move(value, map, wanted);
}

Value Builder::edited(const Value& value, const std::function<std::optional<IndexMap>(const IndexMap&)>& edit) {
  Value result = value;
  std::optional<IndexMap> map = edit(value.map);
  if (!map) {
    result = row_major(value);
    map = edit(result.map);
  }
  check_supported(map.has_value(), "it would mix samples of {}", describe(value));
  result.map = *std::move(map);
  return result;
}

void Builder::align(Value& x, Value& y) {
  if (shape(x) != shape(y) || x.map != y.map) {
    const auto like = [&](const Value& value, const Value& target) {
      const bool whole = is_permutation(target.map, shape(target).size());
      return whole ? move(value, target.map, shape(target)) : std::nullopt;
    };
    if (auto moved = like(y, x)) {
      y = *std::move(moved);
    } else if (auto other = like(x, y)) {
      x = *std::move(other);
    } else {
      x = row_major(x);
      y = row_major(y);
    }
  }
  if (is_flat(x) == is_flat(y)) return;
  if (x.map.rank() == 2 && x.map.dims()[0] == Extent{1, true}) {
    Value& other = is_flat(x) ? y : x;
    other = flat(other);
  } else {
    Value& flattened = is_flat(x) ? x : y;
    flattened = unflattened(flattened);
  }
}

Value Builder::unflattened(const Value& value) {
  return is_flat(value) ? *move(value, value.map, shape(value)) : value;
}

Value Builder::join(const std::string& name, const std::vector<Value>& values, std::size_t axis, const Extents& dims) {
  const bool matrix = dims.size() == 2 && dims[0] == Extent{1, true};
  std::vector<Value> inputs;
  std::vector<Shape> shapes;
  bool nhwc = dims.size() == 3 || dims.size() == 4, channels = matrix;
  for (const Value& value : values) {
    inputs.push_back(matrix ? flat(value) : unflattened(value));
    shapes.push_back(shape(inputs.back()));
    nhwc = nhwc && inputs.back().map == channels_first(shapes.back(), dims.size() - 2);
    channels = channels && inputs.back().map == features(shapes.back().c);
  }
  Node node = make_node(FloatMove{}, name, {});
  for (const Value& input : inputs) node.inputs.push_back(input.node);
  IndexMap to = IndexMap::row_major(dims);
  node.shape = {elements(dims) / dims.back().count, 1, dims.back().count};
  if (nhwc) {
    node.shape = {dims[2].count, dims.size() == 4 ? dims[3].count : 1, dims[1].count};
    to = channels_first(node.shape, dims.size() - 2);
  }
  if (channels || (nhwc && axis == 1)) {
    node.what = FloatMove{joined_channels(shapes)};
    return add(std::move(node), std::move(to));
  }
  ElementMap map;
  std::int64_t start = 0;
  for (const Value& input : inputs) {
    const std::int64_t extent = input.map.dims()[axis].count;
    const auto part = to.slice(axis, start, 1, extent);
    auto box = part ? to_box(static_cast<int>(map.boxes.size()), input.map, *part) : std::nullopt;
    check_supported(box.has_value(), "it joins {} in an order that no map can say", describe(input));
    map.boxes.push_back(*std::move(box));
    start += extent;
  }
  node.what = FloatMove{std::move(map)};
  return add(std::move(node), std::move(to));
}

Value Builder::assemble(const std::string& name, const Value& value, const std::vector<std::vector<Piece>>& pieces) {
  constexpr std::size_t kMostBoxes = 4096;
  Extents dims = value.map.dims();
  std::size_t boxes = 1;
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (pieces[axis].empty()) continue;
    dims[axis].count = 0;
    for (const Piece& piece : pieces[axis]) dims[axis].count += piece.count;
    boxes = std::min(boxes * pieces[axis].size(), kMostBoxes + 1);
  }
  check_supported(boxes <= kMostBoxes, "it is made of more than {} pieces", kMostBoxes);
  const bool image = (dims.size() == 3 || dims.size() == 4) && dims[0] == Extent{1, true};
  const Value input = image ? spatial(value) : row_major(unflattened(value));
  Node node = make_node(FloatMove{}, name, {input.node});
  IndexMap to = IndexMap::row_major(dims);
  node.shape = {elements(dims) / dims.back().count, 1, dims.back().count};
  if (image) {
    node.shape = {dims[2].count, dims.size() == 4 ? dims[3].count : 1, dims[1].count};
    to = channels_first(node.shape, dims.size() - 2);
  }
  std::vector<std::pair<IndexMap, IndexMap>> parts{{input.map, to}};
  for (std::size_t axis = 0; axis < dims.size(); ++axis) {
    if (pieces[axis].empty()) continue;
    std::vector<std::pair<IndexMap, IndexMap>> finer;
    for (const auto& [from, part] : parts) {
      std::int64_t start = 0;
      for (const Piece& p : pieces[axis]) {  // an axis without samples is a single factor here and can be sliced
        auto source = from.slice(axis, p.start, p.step == 0 ? 1 : p.step, p.step == 0 ? 1 : p.count);
        auto target = part.slice(axis, start, 1, p.count);
        check_supported(source && target, "its pieces are interleaved with the samples of {}", describe(value));
        if (p.step == 0) source = source->repeat(axis, {p.count});
        finer.emplace_back(*std::move(source), *std::move(target));
        start += p.count;
      }
    }
    parts = std::move(finer);
  }
  ElementMap map;
  for (const auto& [from, part] : parts) {
    auto box = to_box(0, from, part);
    check_supported(box.has_value(), "it moves {} in an order that no map can say", describe(value));
    map.boxes.push_back(*std::move(box));
  }
  node.what = FloatMove{std::move(map)};
  return add(std::move(node), std::move(to));
}

std::optional<std::size_t> Builder::channel_axis(const Value& value) {
  const std::int64_t channels = shape(value).c;
  const auto& axes = value.map.axes();
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (channels > 1 && axes[i].size() == 1 && !axes[i][0].batch && axes[i][0] == Factor{channels, 1}) return i;
  }
  return std::nullopt;
}

KnownPtr Builder::known(const Value& value) {
  if (value.known) return value.known;
  folded += checked_elements(*value.stored);
  check(folded <= max_folded, "{}", kTooMuchFolded);
  return std::make_shared<Known>(read_known(*value.stored));
}

void Builder::count_folded(const Extents& dims) {
  std::int64_t count = 1;
  for (const Extent& extent : dims) {
    check(extent.count == 0 || count <= max_folded / extent.count, "{}", kTooMuchFolded);
    count *= extent.count;
  }
  folded += count;
  check(folded <= max_folded, "{}", kTooMuchFolded);
}

}  // namespace qnudge
