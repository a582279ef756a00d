// SPDX-License-Identifier: MIT
// Operators that compute nothing: shapes, constants, and what only says where elements stand.
#include <algorithm>
#include <utility>

#include "edit.hpp"
#include "elementwise.hpp"
#include "importer.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

/// What a structural operator makes of a value.
template <class EditMap>
Value edited(Builder& b, NodeView& view, const Value& x, const EditMap& edit) {
  Value result = b.edited(x, edit);
  result.view = view.name;
  result.sole = x.sole;
  check_supported(result.map.size() > 0, "its result is empty");
  return result;
}

}  // namespace

Value import_edit(Builder& b, NodeView& view) {
  const Edit edit = find_edit(view.proto.op_type());
  return edited(b, view, view.activation(0), [&](const IndexMap& map) { return edit(b, view, map); });
}

std::vector<Value> import_split(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const std::size_t axis = normal_axis(view.attributes.integer("axis", 0), x.map.rank());
  const Extent extent = x.map.dims()[axis];
  check_supported(!extent.batch, "it splits the samples of {}", b.describe(x));
  std::vector<Value> parts;
  std::int64_t start = 0;
  const auto outputs = static_cast<std::size_t>(view.proto.output_size());
  for (const std::int64_t size : split_sizes(b, view, extent.count, outputs)) {
    check_supported(size > 0, "one of its parts is empty");
    parts.push_back(edited(b, view, x, [&](const IndexMap& map) { return map.slice(axis, start, 1, size); }));
    parts.back().sole = x.sole && outputs == 1;
    start += size;
  }
  return parts;
}

Value import_concat(Builder& b, NodeView& view) {
  const auto found = std::ranges::find_if(view.inputs, &Value::activation);
  check(found != view.inputs.end(), "its inputs are left out");
  const Value first = *found;
  check(view.attributes.find("axis") != nullptr, "axis is missing");
  const std::size_t axis = normal_axis(view.attributes.integer("axis", 1), first.map.rank());
  Extents dims = first.map.dims();
  check_supported(!dims[axis].batch, "it joins samples of {}", b.describe(first));
  std::vector<Value> inputs;
  dims[axis].count = 0;
  for (std::size_t i = 0; i < view.inputs.size(); ++i) {
    check(view.has(i), "input {} is left out", i);
    Value x = view.inputs[i];
    Extents own = b.extents(x);
    check_supported(own.size() == dims.size(), "it joins {} and {}; equal ranks are needed", b.describe(first),
                    b.describe(x));
    Extents wanted = dims;
    wanted[axis].count = own[axis].count;
    if (x.constant()) x = as_activation(b, b.unique_name(view.name + "_constant"), first, x, wanted);
    check_supported(x.map.dims() == wanted, "it joins {} and {}; they must be equal but in axis {}", b.describe(first),
                    b.describe(x), axis);
    dims[axis].count += wanted[axis].count;
    inputs.push_back(std::move(x));
  }
  if (inputs.size() == 1) return first;
  return b.join(view.name, inputs, axis, dims);
}

Value import_head(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const std::size_t rank = x.map.rank();
  const std::string& type = view.proto.op_type();
  check_supported(view.last, "it stands within the network; at the output of a classifier it is supported");
  Ends::Head head{.type = type, .name = view.name};
  if (type != "Sigmoid") {
    const std::int64_t usual = type == "ArgMax" ? 0 : b.opset < 13 ? 1 : -1;
    head.axis = static_cast<std::int64_t>(normal_axis(view.attributes.integer("axis", usual), rank));
    const Extents dims = x.map.dims();
    const auto classes = b.channel_axis(x);
    check_supported(rank == 2 || (classes && head.axis == static_cast<std::int64_t>(*classes)),
                    "its axis {} of {} is not that of the classes", head.axis, b.describe(x));
    check_supported(type == "ArgMax" || b.opset >= 13 || rank == 2 || head.axis + 1 == static_cast<std::int64_t>(rank),
                    "before opset 13 it normalises over all axes from {} on", head.axis);
    check_supported(!dims[static_cast<std::size_t>(head.axis)].batch, "its axis is that of the samples");
  }
  if (type == "ArgMax") {
    head.keepdims = view.attributes.integer("keepdims", 1) != 0;
    check_supported(b.opset < 12 || view.attributes.integer("select_last_index", 0) == 0,
                    "it takes the last of equal scores");
  }
  b.graph.ends.head.push_back(std::move(head));
  return x;
}

Value import_identity(Builder&, NodeView& view) {
  check(view.has(0), "input 0 is left out");
  return view.inputs[0];
}

Value import_dropout(Builder& b, NodeView& view) {
  check(view.has(0), "input 0 is left out");
  view.attributes.real("ratio", 0.5f);  // of no effect in inference, like the seed and the input of the same name
  if (b.opset >= 12) view.attributes.integer("seed", 0);
  if (view.has(1)) view.constant(1, "ratios");
  if (view.has(2)) {
    const IntegerTensor training = view.integers(2, "training modes");
    check_supported(std::ranges::all_of(training.values, [](std::int64_t v) { return v == 0; }),
                    "it is in training mode");
  }
  return view.inputs[0];
}

Value import_constant(Builder& b, NodeView& view) {
  Known known;
  if (const auto* value = view.attributes.find("value")) {
    check(value->type() == onnx::AttributeProto::TENSOR, "the attribute 'value' is no tensor");
    return {.stored = &b.constants.emplace_back(StoredTensor{&value->t(), {}})};
  }
  if (const auto* attribute = view.attributes.find("value_float")) {
    known.reals = {attribute->f()};
  } else if (const auto* list = view.attributes.find("value_floats")) {
    known.reals = {list->floats().begin(), list->floats().end()};
    known.dims = {{list->floats_size()}};
  } else if (const auto* integer = view.attributes.find("value_int")) {
    known = known_integers({}, {{integer->i()}});
  } else if (const auto* integers = view.attributes.find("value_ints")) {
    std::vector<Affine> values;
    for (const std::int64_t number : integers->ints()) values.push_back({number});
    known = known_integers({integers->ints_size()}, std::move(values));
  } else {
    unsupported("its value is missing, sparse or text; a dense tensor is needed");
  }
  return {.known = std::make_shared<Known>(std::move(known))};
}

Value import_shape(Builder& b, NodeView& view) {
  check(view.has(0), "input 0 is left out");
  const Extents dims = b.extents(view.inputs[0]);
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto bound = [&](std::string_view name, std::int64_t fallback) {
    const std::int64_t stated = b.opset < 15 ? fallback : view.attributes.integer(name, fallback);
    return std::clamp<std::int64_t>(stated < 0 ? stated + rank : stated, 0, rank);
  };
  std::vector<Affine> extents;
  for (std::int64_t i = bound("start", 0), end = bound("end", rank); i < end; ++i) {
    extents.push_back(b.number(dims[static_cast<std::size_t>(i)]));
  }
  const auto count = static_cast<std::int64_t>(extents.size());
  return {.known = std::make_shared<Known>(known_integers({count}, std::move(extents)))};
}

Value import_size(Builder& b, NodeView& view) {
  check(view.has(0), "input 0 is left out");
  Affine size{1};
  for (const Extent& extent : b.extents(view.inputs[0])) size = size * b.number(extent);
  return {.known = std::make_shared<Known>(known_integers({}, {size}))};
}

}  // namespace qnudge
