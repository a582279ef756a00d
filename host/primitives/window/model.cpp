// SPDX-License-Identifier: MIT
#include "host/model/fingerprint.hpp"
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const FloatWindow& window_of(const Node& node) {
  return std::get<FloatWindow>(node.what);
}

std::string_view kind(const Node& node) {
  const WindowKind kind = window_of(node).kind;
  return kind == WindowKind::max ? "max_pool" : kind == WindowKind::average ? "average_pool" : "sum";
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const FloatWindow& pool = window_of(node);
  if (pool.kind == WindowKind::sum) {
    const Shape& in = inputs[0];
    const bool whole = (pool.window.r == in.h || pool.window.r == 1) && (pool.window.s == in.w || pool.window.s == 1);
    require(whole && pool.window == Window{.r = pool.window.r, .s = pool.window.s}, ErrorKind::internal,
            "node '{}': sums over a part of an axis", node.name);
  }
  return slide(inputs[0], pool.window, inputs[0].c);
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const FloatWindow& pool = window_of(node);
  add_window(hash, pool.window);
  const std::int64_t rest[] = {static_cast<std::int64_t>(pool.kind), pool.count_include_pad};
  hash.add_values(std::span<const std::int64_t>(rest));
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatWindow& pool = window_of(node);
  const Window& w = pool.window;
  const Shape& in = to.input_shape(node, 0);
  if (pool.kind == WindowKind::average && w == Window{.r = in.h, .s = in.w} && !pool.count_include_pad) {
    out.set_op_type("GlobalAveragePool");
    return;
  }
  if (pool.kind == WindowKind::sum) {
    out.set_op_type("ReduceSum");
    std::vector<std::int64_t> axes;
    if (w.r > 1) axes.push_back(2);
    if (w.s > 1) axes.push_back(3);
    out.add_input(to.integers(node.name + ".axes", axes));
    set_integer(out, "noop_with_empty_axes", 1);
    return;
  }
  set_integers(out, "kernel_shape", to.per_axis(w.r, w.s));
  set_integers(out, "pads", to.pads(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right));
  set_integers(out, "strides", to.per_axis(w.stride_h, w.stride_w));
  if (pool.kind == WindowKind::max) {
    out.set_op_type("MaxPool");
    set_integers(out, "dilations", to.per_axis(w.dilation_h, w.dilation_w));
  } else {
    out.set_op_type("AveragePool");
    set_integer(out, "count_include_pad", pool.count_include_pad ? 1 : 0);
  }
}

}  // namespace

const ModelFacet model_facets::window = {.kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write};

}  // namespace qnudge
