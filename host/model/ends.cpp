// SPDX-License-Identifier: MIT
#include "qnudge/model/ends.hpp"

#include <onnx/onnx_pb.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using onnx::GraphProto;
using onnx::NodeProto;
using onnx::TensorShapeProto;

constexpr std::array<std::string_view, 5> kHeads = {"ArgMax", "LogSoftmax", "Sigmoid", "Softmax", "Transpose"};
constexpr const char* kMark = "around the network";  ///< doc_string of every node that wrap_ends adds

TensorShapeProto& shape_of(onnx::ValueInfoProto& info) {
  return *info.mutable_type()->mutable_tensor_type()->mutable_shape();
}

/// Renames a tensor wherever nodes read or write it.
void rename(GraphProto& graph, const std::string& from, const std::string& to) {
  for (NodeProto& node : *graph.mutable_node()) {
    for (auto* names : {node.mutable_input(), node.mutable_output()}) {
      std::replace(names->begin(), names->end(), from, to);
    }
  }
}

void add_attribute(NodeProto& node, const char* name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

std::int64_t read_attribute(const NodeProto& node, const std::string& name) {
  for (const onnx::AttributeProto& attribute : node.attribute()) {
    if (attribute.name() == name) return attribute.i();
  }
  return 1;
}

NodeProto make(const std::string& type, const std::string& name, const std::string& from, const std::string& to) {
  NodeProto node;
  node.set_op_type(type);
  node.set_name(name);
  node.set_doc_string(kMark);
  node.add_input(from);
  node.add_output(to);
  return node;
}

NodeProto transposition(const std::string& name, const std::string& from, const std::string& to,
                        const std::vector<std::int64_t>& order) {
  NodeProto node = make("Transpose", name, from, to);
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name("perm");
  attribute.set_type(onnx::AttributeProto::INTS);
  attribute.mutable_ints()->Add(order.begin(), order.end());
  return node;
}

/// [N, C, spatial...] to [N, spatial..., C], or back.
std::vector<std::int64_t> order_of(int rank, bool to_last) {
  if (rank == 3) return {0, 2, 1};
  return to_last ? std::vector<std::int64_t>{0, 2, 3, 1} : std::vector<std::int64_t>{0, 3, 1, 2};
}

/// Moves the channels' axis of a declared shape to the end, or from there to its place.
void turn(TensorShapeProto& shape, bool to_last) {
  const int rank = shape.dim_size();
  for (int i = 1; i + 1 < rank; ++i) {
    to_last ? shape.mutable_dim()->SwapElements(i, i + 1) : shape.mutable_dim()->SwapElements(rank - i, rank - i - 1);
  }
}

std::string inner(const std::string& name) {
  return name + "/network";
}

bool added(const NodeProto& node) {
  return node.doc_string() == kMark;
}

void wrap_input(GraphProto& graph, const Ends& ends) {
  onnx::ValueInfoProto& info = *graph.mutable_input(0);
  TensorShapeProto& shape = shape_of(info);
  const std::string name = info.name();
  rename(graph, name, inner(name));
  if (ends.input_channels_last) {
    *graph.add_node() = transposition(name + "/turned", name, inner(name), order_of(shape.dim_size(), false));
    turn(shape, true);
  } else {
    *graph.add_node() = make("Unsqueeze", name + "/turned", name, inner(name));
    onnx::TensorProto& axes = *graph.add_initializer();
    axes.set_name(name + "/axes");
    axes.set_data_type(onnx::TensorProto::INT64);
    axes.add_dims(shape.dim_size() - 2);
    for (int i = 2; i < shape.dim_size(); ++i) axes.add_int64_data(i);
    graph.mutable_node(graph.node_size() - 1)->add_input(axes.name());
    shape.mutable_dim()->DeleteSubrange(2, shape.dim_size() - 2);
  }
  for (int i = graph.node_size() - 1; i > 0; --i) graph.mutable_node()->SwapElements(i, i - 1);
}

void unwrap_input(GraphProto& graph, Ends& ends) {
  onnx::ValueInfoProto& info = *graph.mutable_input(0);
  TensorShapeProto& shape = shape_of(info);
  ends.input_channels_last = graph.node(0).op_type() == "Transpose";
  ends.input_matrix = !ends.input_channels_last;
  require(shape.dim_size() >= 2 && shape.dim_size() <= 4, ErrorKind::input, "its input has rank {}", shape.dim_size());
  if (ends.input_channels_last) {
    turn(shape, false);
  } else {
    require(graph.initializer_size() > 0 && shape.dim_size() == 2, ErrorKind::input,
            "its input is not turned as qnudge turns it");
    const auto added_axes = graph.initializer(graph.initializer_size() - 1).int64_data_size();
    for (int i = 0; i < std::min(added_axes, 2); ++i) shape.add_dim()->set_dim_value(1);
    graph.mutable_initializer()->RemoveLast();
  }
  graph.mutable_node()->DeleteSubrange(0, 1);
  rename(graph, inner(info.name()), info.name());
}

/// What an ArgMax leaves of a declared shape.
void reduce(onnx::ValueInfoProto& info, const Ends::Head& head) {
  info.mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::INT64);
  TensorShapeProto& shape = shape_of(info);
  if (head.keepdims) {
    shape.mutable_dim(static_cast<int>(head.axis))->set_dim_value(1);
  } else {
    shape.mutable_dim()->DeleteSubrange(static_cast<int>(head.axis), 1);
  }
}

void wrap_output(GraphProto& graph, const Ends& ends) {
  onnx::ValueInfoProto& info = *graph.mutable_output(0);
  const std::string name = info.name();
  std::string value = inner(name);
  rename(graph, name, value);
  // The scores' own shape is kept, so that reading the file needs no inference.
  onnx::ValueInfoProto& scores = *graph.add_value_info();
  scores = info;
  scores.set_name(value);
  if (ends.output_channels_last) {
    *graph.add_node() =
        transposition(name + "/turned", value, name + "/turned", order_of(shape_of(info).dim_size(), true));
    turn(shape_of(info), true);
    value = name + "/turned";
  }
  for (const Ends::Head& head : ends.head) {
    NodeProto& node = *graph.add_node() = make(head.type, head.name, value, name + "/" + head.name);
    if (head.type != "Sigmoid") add_attribute(node, "axis", head.axis);
    if (head.type == "ArgMax") {
      add_attribute(node, "keepdims", head.keepdims ? 1 : 0);
      reduce(info, head);
    }
    value = node.output(0);
  }
  graph.mutable_node(graph.node_size() - 1)->set_output(0, name);
}

void unwrap_output(GraphProto& graph, Ends& ends) {
  onnx::ValueInfoProto& info = *graph.mutable_output(0);
  int first = graph.node_size();
  while (first > 0 && added(graph.node(first - 1))) --first;
  require(first > 0 && graph.value_info_size() == 1, ErrorKind::input, "its output is not wrapped as qnudge wraps it");
  const int rank = graph.value_info(0).type().tensor_type().shape().dim_size();
  for (int i = first; i < graph.node_size(); ++i) {
    const NodeProto& node = graph.node(i);
    const std::int64_t axis = read_attribute(node, "axis");
    const bool last = i + 1 == graph.node_size();
    require(std::ranges::count(kHeads, node.op_type()) == 1 && axis >= 0 && axis < rank &&
                (node.op_type() != "ArgMax" || last) && (node.op_type() != "Transpose" || rank >= 3),
            ErrorKind::input, "its output is not wrapped as qnudge wraps it");
    if (node.op_type() == "Transpose") {
      ends.output_channels_last = true;
    } else {
      ends.head.push_back({node.op_type(), node.name(), axis, read_attribute(node, "keepdims") != 0});
    }
  }
  graph.mutable_node()->DeleteSubrange(first, graph.node_size() - first);
  const std::string name = info.name();
  info = graph.value_info(0);
  info.set_name(name);
  graph.clear_value_info();
  rename(graph, inner(name), name);
}

}  // namespace

void wrap_ends(onnx::ModelProto& model, const Ends& ends) {
  GraphProto& graph = *model.mutable_graph();
  if (ends.input_channels_last || ends.input_matrix) wrap_input(graph, ends);
  if (ends.output_channels_last || !ends.head.empty()) wrap_output(graph, ends);
}

Ends unwrap_ends(onnx::ModelProto& model) {
  Ends ends;
  GraphProto& graph = *model.mutable_graph();
  if (graph.node_size() == 0 || graph.input_size() == 0 || graph.output_size() == 0) return ends;
  if (added(graph.node(graph.node_size() - 1))) unwrap_output(graph, ends);
  if (added(graph.node(0))) unwrap_input(graph, ends);
  return ends;
}

}  // namespace qnudge
