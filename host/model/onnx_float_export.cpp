// SPDX-License-Identifier: MIT
#include "float_writer.hpp"

#include <algorithm>
#include <initializer_list>

#include "primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/model/onnx_import.hpp"

namespace qnudge {
namespace {

constexpr int kOpset = 13, kIrVersion = 7;

}  // namespace

void set_text(onnx::NodeProto& node, const char* name, std::string_view value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::STRING);
  attribute.set_s(std::string(value));
}

void set_real(onnx::NodeProto& node, const char* name, float value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(value);
}

void set_integer(onnx::NodeProto& node, const char* name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void set_integers(onnx::NodeProto& node, const char* name, const FloatWriter::Dims& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  attribute.mutable_ints()->Add(values.begin(), values.end());
}

std::string FloatWriter::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

void FloatWriter::name_tensors() {
  taken_ = {graph_.input_name, graph_.output_name};
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const bool last = static_cast<int>(i) == graph_.output;
    tensors_.push_back(i == 0 ? graph_.input_name : last ? graph_.output_name : unique(graph_.nodes[i].name));
  }
}

FloatWriter::Dims FloatWriter::pads(std::int64_t top, std::int64_t left, std::int64_t bottom,
                                    std::int64_t right) const {
  return graph_.spatial_rank == 1 ? Dims{top, bottom} : Dims{top, left, bottom, right};
}

/// The batch axis is always symbolic.
void FloatWriter::declare(onnx::ValueInfoProto& info, int node) {
  const auto i = static_cast<std::size_t>(node);
  const Shape& s = graph_.nodes[i].shape;
  info.set_name(tensors_[i]);
  onnx::TypeProto::Tensor& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param("N");
  Dims dims{s.size()};
  if (!flat_[i]) dims = graph_.spatial_rank == 1 ? Dims{s.c, s.h} : Dims{s.c, s.h, s.w};
  for (const std::int64_t extent : dims) type.mutable_shape()->add_dim()->set_dim_value(extent);
}

std::string FloatWriter::initializer(const std::string& wanted, const Dims& dims, std::span<const float> values) {
  onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(unique(wanted));
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.mutable_dims()->Add(dims.begin(), dims.end());
  tensor.set_raw_data(values.data(), values.size_bytes());
  return tensor.name();
}

std::string FloatWriter::per_channel(const Node& node, const std::string& wanted, std::span<const double> values) {
  const Shape& in = input_shape(node, 0);
  const bool spread = flat(node.inputs[0]);  // over the pixels that a flattened tensor has in one row
  std::vector<float> all;
  for (const double value : values) {
    all.insert(all.end(), static_cast<std::size_t>(spread ? in.h * in.w : 1), static_cast<float>(value));
  }
  Dims dims{static_cast<std::int64_t>(all.size())};
  if (!spread) dims.resize(1 + static_cast<std::size_t>(graph_.spatial_rank), 1);
  return initializer(wanted, dims, all);
}

std::string FloatWriter::tensor(const Node& node, const std::string& wanted, const Shape& shape,
                                std::span<const float> values) {
  std::vector<float> chw;
  for (std::int64_t c = 0; c < shape.c; ++c) {
    for (std::int64_t p = 0; p < shape.h * shape.w; ++p) {
      chw.push_back(values[static_cast<std::size_t>(p * shape.c + c)]);
    }
  }
  if (!node.inputs.empty() && flat(node.inputs[0])) return initializer(wanted, {shape.size()}, chw);
  Dims dims = per_axis(shape.h, shape.w);
  dims.insert(dims.begin(), shape.c);
  return initializer(wanted, dims, chw);
}

std::string FloatWriter::integers(const std::string& wanted, std::span<const std::int64_t> values) {
  onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(unique(wanted));
  tensor.set_data_type(onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(values.size()));
  tensor.set_raw_data(values.data(), values.size_bytes());
  return tensor.name();
}

onnx::NodeProto& FloatWriter::node_before(const std::string& wanted) {
  auto& nodes = *model_.mutable_graph()->mutable_node();
  onnx::NodeProto& added = *nodes.Add();
  added.set_name(unique(wanted));
  added.add_output(added.name());
  nodes.SwapElements(nodes.size() - 2, nodes.size() - 1);
  return added;
}

void FloatWriter::become_last(onnx::NodeProto& out) {
  auto& nodes = *model_.mutable_graph()->mutable_node();
  onnx::NodeProto& last = nodes[nodes.size() - 2];
  out.set_op_type(last.op_type());
  out.mutable_input()->Swap(last.mutable_input());
  out.mutable_attribute()->Swap(last.mutable_attribute());
  nodes.DeleteSubrange(nodes.size() - 2, 1);
}

void FloatWriter::write_node(int index) {
  const auto i = static_cast<std::size_t>(index);
  const Node& node = graph_.nodes[i];
  onnx::NodeProto& out = *model_.mutable_graph()->add_node();
  out.set_name(node.name);
  out.add_output(tensors_[i]);
  for (const int input : node.inputs) out.add_input(tensors_[static_cast<std::size_t>(input)]);
  const auto write = model_facet(node).write;
  require(write != nullptr, ErrorKind::internal, "the graph has a second input '{}'", node.name);
  write(node, *this, out);
}

onnx::ModelProto FloatWriter::run() {
  name_tensors();
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name("qnudge");
  int opset = kOpset;
  for (const Node& node : graph_.nodes) {
    const auto needed = model_facet(node).opset;
    if (needed != nullptr) opset = std::max(opset, needed(node));
  }
  model_.add_opset_import()->set_version(opset);
  model_.mutable_graph()->set_name("qnudge");
  for (const Node& node : graph_.nodes) {
    const auto flattens = model_facet(node).flattens;
    flat_.push_back((flattens != nullptr && flattens(node)) ||
                    (!node.inputs.empty() && flat_[static_cast<std::size_t>(node.inputs[0])]));
  }
  for (int i = 1; i < static_cast<int>(graph_.nodes.size()); ++i) write_node(i);
  declare(*model_.mutable_graph()->add_input(), 0);
  declare(*model_.mutable_graph()->add_output(), graph_.output);
  return model_;
}

void export_float_onnx(const Graph& graph, const std::filesystem::path& path) {
  onnx::ModelProto model = FloatWriter(graph).run();
  wrap_ends(model, graph.ends);
  std::string bytes;
  require(model.ByteSizeLong() < (std::size_t{1} << 31) && model.SerializeToString(&bytes), ErrorKind::usage,
          "{}: the model is larger than the 2 GiB of an ONNX file", path.string());
  write_file_atomically(path, bytes);
}

}  // namespace qnudge
