// SPDX-License-Identifier: MIT
#include <algorithm>

#include "host/quant/onnx_geometry.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"

namespace qnudge {
namespace {

constexpr int kOpsetOfDilatedAverage = 19;

const IntWindow& window_of(const IntNode& node) {
  return std::get<IntWindow>(node.what);
}

bool dilated(const Window& w) {
  return w.dilation_h != 1 || w.dilation_w != 1;
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const IntWindow& pool = window_of(node);
  const Window& w = pool.window;
  const Shape& in = to.network().at(node.inputs[0]).shape;
  const std::string value = to.read(node.inputs[0], i, false);
  const bool average = pool.kind == WindowKind::average;
  if (average && w == Window{.r = in.h, .s = in.w} && !pool.count_include_pad) {
    to.out().reserved_node("GlobalAveragePool", node.name, {value});
  } else if (pool.kind == WindowKind::sum) {
    OnnxWriter::Dims axes;
    if (w.r > 1) axes.push_back(2);
    if (w.s > 1) axes.push_back(3);
    const std::string over =
        to.out().constant<std::int64_t>(node.name + "/axes", {static_cast<std::int64_t>(axes.size())}, std::span(axes));
    set_attribute(to.out().reserved_node("ReduceSum", node.name, {value, over}), "noop_with_empty_axes", 1);
  } else {
    onnx::NodeProto& out = to.out().reserved_node(average ? "AveragePool" : "MaxPool", node.name, {value});
    if (average) set_attribute(out, "count_include_pad", pool.count_include_pad ? 1 : 0);
    if (!average || dilated(w)) set_attribute(out, "dilations", to.axes(w.dilation_h, w.dilation_w));
    to.write_window(out, w);
  }
  to.publish(i, to.out().result(), QdqWriter::Result::kernel);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const std::string& op = from.op_type();
  const bool sum = op == "ReduceSum";
  if (op != "MaxPool" && op != "AveragePool" && op != "GlobalAveragePool" && !sum) return false;
  IntWindow pool{.kind = sum ? WindowKind::sum : op == "MaxPool" ? WindowKind::max : WindowKind::average};
  IntNode added = reader.make(from, {}, {reader.reading(from, 0)});
  const Shape in = added.shape;
  Window& w = pool.window;
  if (op == "GlobalAveragePool") {
    w.r = in.h;
    w.s = in.w;
  } else if (sum) {
    const std::string& axes = reader.input(from, 1);
    const bool none = reader.constants().dims(axes) == std::vector<std::int64_t>{0};  // of a window of one element
    for (const std::int64_t axis : none ? std::vector<std::int64_t>{} : reader.constants().take<std::int64_t>(axes)) {
      require(axis == 2 || axis == 3, ErrorKind::input, "it sums over axis {}", axis);
      (axis == 2 ? w.r : w.s) = axis == 2 ? in.h : in.w;
    }
  } else {
    const auto kernel = read_integers(from, "kernel_shape", reader.rank(), 1);
    w = read_window(from, reader.rank(), std::max<std::int64_t>(1, kernel[0]),
                    std::max<std::int64_t>(1, kernel.back()));
  }
  pool.count_include_pad = read_integer(from, "count_include_pad", 0) != 0;
  added.shape = slide(in, w, in.c);
  check_shape(added.shape);
  reader.count_pool_work(added.shape.h * added.shape.w * (w.r + w.s));
  added.what = pool;
  reader.append(from, std::move(added));
  return true;
}

int opset(const IntNode& node) {
  const IntWindow& pool = window_of(node);
  return pool.kind == WindowKind::average && dilated(pool.window) ? kOpsetOfDilatedAverage : 0;
}

}  // namespace

const QdqFacet qdq_facets::window = {.write = write, .read = read, .opset = opset};

}  // namespace qnudge
