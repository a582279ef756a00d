// SPDX-License-Identifier: MIT
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <initializer_list>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/model/onnx_import.hpp"

namespace qnudge {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr int kOpset = 13, kIrVersion = 7;

void set(onnx::NodeProto& node, const char* name, std::int64_t value) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INT);
  attribute.set_i(value);
}

void set(onnx::NodeProto& node, const char* name, const Dims& values) {
  onnx::AttributeProto& attribute = *node.add_attribute();
  attribute.set_name(name);
  attribute.set_type(onnx::AttributeProto::INTS);
  attribute.mutable_ints()->Add(values.begin(), values.end());
}

class FloatExporter {
 public:
  explicit FloatExporter(const Graph& graph) : graph_(graph) {}
  onnx::ModelProto run();

 private:
  void name_tensors();
  void declare(onnx::ValueInfoProto& info, int node);
  std::string initializer(const std::string& wanted, const Dims& dims, std::span<const float> values);
  std::string unique(const std::string& wanted);
  Dims per_axis(std::int64_t h, std::int64_t w) const { return graph_.spatial_rank == 1 ? Dims{h} : Dims{h, w}; }
  Dims pads(std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right) const;
  bool covers_input(const Node& node) const;

  void write_node(int index);
  void write_conv(const Node& node, onnx::NodeProto& out);
  void write_conv_transpose(const Node& node, onnx::NodeProto& out);
  void write_gemm(const Node& node, onnx::NodeProto& out);
  void write_batch_norm(const Node& node, onnx::NodeProto& out);
  void write_clip(const Node& node, onnx::NodeProto& out);
  void write_pool(const Node& node, onnx::NodeProto& out);

  const Graph& graph_;
  onnx::ModelProto model_;
  std::unordered_set<std::string> taken_;
  std::vector<std::string> tensors_;  ///< per node: the name of its output
  std::vector<bool> flat_;            ///< per node: ONNX sees [N, C*H*W]
};

std::string FloatExporter::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

void FloatExporter::name_tensors() {
  taken_ = {graph_.input_name, graph_.output_name};
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const bool last = static_cast<int>(i) == graph_.output;
    tensors_.push_back(i == 0 ? graph_.input_name : last ? graph_.output_name : unique(graph_.nodes[i].name));
  }
}

Dims FloatExporter::pads(std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right) const {
  return graph_.spatial_rank == 1 ? Dims{top, bottom} : Dims{top, left, bottom, right};
}

/// The batch axis is always symbolic.
void FloatExporter::declare(onnx::ValueInfoProto& info, int node) {
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

std::string FloatExporter::initializer(const std::string& wanted, const Dims& dims, std::span<const float> values) {
  onnx::TensorProto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(unique(wanted));
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  tensor.mutable_dims()->Add(dims.begin(), dims.end());
  tensor.set_raw_data(values.data(), values.size_bytes());
  return tensor.name();
}

void FloatExporter::write_conv(const Node& node, onnx::NodeProto& out) {
  const FilterShape& f = node.filter;
  const Window& w = node.conv.window;
  std::vector<float> weights;
  weights.reserve(node.weights.size());
  for (std::int64_t k = 0; k < f.k; ++k) {
    for (std::int64_t c = 0; c < f.c; ++c) {
      for (std::int64_t rs = 0; rs < f.r * f.s; ++rs) {
        weights.push_back(node.weights[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c)]);
      }
    }
  }
  Dims dims{f.k, f.c};
  const Dims window = per_axis(f.r, f.s);
  dims.insert(dims.end(), window.begin(), window.end());
  out.set_op_type("Conv");
  out.add_input(initializer(node.name + ".weight", dims, weights));
  out.add_input(initializer(node.name + ".bias", {f.k}, node.bias));
  set(out, "dilations", per_axis(w.dilation_h, w.dilation_w));
  set(out, "group", node.conv.groups);
  set(out, "kernel_shape", window);
  set(out, "pads", pads(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right));
  set(out, "strides", per_axis(w.stride_h, w.stride_w));
}

/// Undoes the flip of the import. Padding behind the image that exceeds the window's reach is output padding.
void FloatExporter::write_conv_transpose(const Node& node, onnx::NodeProto& out) {
  const FilterShape& f = node.filter;
  const Window& w = node.conv.window;
  const std::int64_t group_k = f.k / node.conv.groups;
  std::vector<float> weights;
  weights.reserve(node.weights.size());
  for (std::int64_t c = 0; c < f.c * node.conv.groups; ++c) {
    for (std::int64_t kk = 0; kk < group_k; ++kk) {
      const std::int64_t k = c / f.c * group_k + kk;
      for (std::int64_t rs = f.r * f.s - 1; rs >= 0; --rs) {
        weights.push_back(node.weights[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c % f.c)]);
      }
    }
  }
  Dims dims{f.c * node.conv.groups, group_k};
  const Dims window = per_axis(f.r, f.s);
  dims.insert(dims.end(), window.begin(), window.end());
  const std::int64_t reach_h = w.dilation_h * (f.r - 1), reach_w = w.dilation_w * (f.s - 1);
  const std::int64_t bottom = reach_h - w.pad_bottom, right = reach_w - w.pad_right;
  const auto positive = [](std::int64_t value) { return std::max<std::int64_t>(value, 0); };
  out.set_op_type("ConvTranspose");
  out.add_input(initializer(node.name + ".weight", dims, weights));
  out.add_input(initializer(node.name + ".bias", {f.k}, node.bias));
  set(out, "dilations", per_axis(w.dilation_h, w.dilation_w));
  set(out, "group", node.conv.groups);
  set(out, "kernel_shape", window);
  set(out, "output_padding", per_axis(positive(-bottom), positive(-right)));
  set(out, "pads", pads(reach_h - w.pad_top, reach_w - w.pad_left, positive(bottom), positive(right)));
  set(out, "strides", per_axis(node.conv.spread_h, node.conv.spread_w));
}

/// [K, F] with the features in the order of C, H, W.
void FloatExporter::write_gemm(const Node& node, onnx::NodeProto& out) {
  require(flat_[static_cast<std::size_t>(node.inputs[0])], ErrorKind::internal,
          "the gemm '{}' reads something that is not flattened", node.name);
  const FilterShape& f = node.filter;
  std::vector<float> weights;
  weights.reserve(node.weights.size());
  for (std::int64_t k = 0; k < f.k; ++k) {
    for (std::int64_t c = 0; c < f.c; ++c) {
      for (std::int64_t rs = 0; rs < f.r * f.s; ++rs) {
        weights.push_back(node.weights[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c)]);
      }
    }
  }
  out.set_op_type("Gemm");
  out.add_input(initializer(node.name + ".weight", {f.k, f.taps()}, weights));
  out.add_input(initializer(node.name + ".bias", {f.k}, node.bias));
  set(out, "transB", 1);
}

/// Mean 0, variance 1 and epsilon 0 make scale and shift survive bit by bit.
void FloatExporter::write_batch_norm(const Node& node, onnx::NodeProto& out) {
  const Dims dims{node.shape.c};
  const std::vector<float> zeros(node.scale.size(), 0.0f), ones(node.scale.size(), 1.0f);
  out.set_op_type("BatchNormalization");
  out.add_input(initializer(node.name + ".scale", dims, node.scale));
  out.add_input(initializer(node.name + ".shift", dims, node.shift));
  out.add_input(initializer(node.name + ".mean", dims, zeros));
  out.add_input(initializer(node.name + ".variance", dims, ones));
  onnx::AttributeProto& epsilon = *out.add_attribute();
  epsilon.set_name("epsilon");
  epsilon.set_type(onnx::AttributeProto::FLOAT);
  epsilon.set_f(0);
}

void FloatExporter::write_clip(const Node& node, onnx::NodeProto& out) {
  out.set_op_type("Clip");
  out.add_input(initializer(node.name + ".low", {}, std::span(&node.clip_low, 1)));
  out.add_input(initializer(node.name + ".high", {}, std::span(&node.clip_high, 1)));
}

bool FloatExporter::covers_input(const Node& node) const {
  const Shape& in = graph_.nodes[static_cast<std::size_t>(node.inputs[0])].shape;
  return node.pool == Window{.r = in.h, .s = in.w} && !node.count_include_pad;
}

void FloatExporter::write_pool(const Node& node, onnx::NodeProto& out) {
  const Window& w = node.pool;
  if (node.op == Op::average_pool && covers_input(node)) {
    out.set_op_type("GlobalAveragePool");
    return;
  }
  set(out, "kernel_shape", per_axis(w.r, w.s));
  set(out, "pads", pads(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right));
  set(out, "strides", per_axis(w.stride_h, w.stride_w));
  if (node.op == Op::max_pool) {
    out.set_op_type("MaxPool");
    set(out, "dilations", per_axis(w.dilation_h, w.dilation_w));
  } else {
    out.set_op_type("AveragePool");
    set(out, "count_include_pad", node.count_include_pad ? 1 : 0);
  }
}

void FloatExporter::write_node(int index) {
  const auto i = static_cast<std::size_t>(index);
  const Node& node = graph_.nodes[i];
  onnx::NodeProto& out = *model_.mutable_graph()->add_node();
  out.set_name(node.name);
  out.add_output(tensors_[i]);
  for (const int input : node.inputs) out.add_input(tensors_[static_cast<std::size_t>(input)]);
  switch (node.op) {
    case Op::conv:
      return node.conv.transposed ? write_conv_transpose(node, out) : write_conv(node, out);
    case Op::gemm:
      return write_gemm(node, out);
    case Op::batch_norm:
      return write_batch_norm(node, out);
    case Op::clip:
      return write_clip(node, out);
    case Op::max_pool:
    case Op::average_pool:
      return write_pool(node, out);
    case Op::relu:
      return out.set_op_type("Relu");
    case Op::sigmoid:
      return out.set_op_type("Sigmoid");
    case Op::add:
      return out.set_op_type("Add");
    case Op::flatten:
      out.set_op_type("Flatten");
      return set(out, "axis", 1);
    case Op::concat:
      out.set_op_type("Concat");
      return set(out, "axis", 1);
    case Op::input:
      fail(ErrorKind::internal, "the graph has a second input '{}'", node.name);
  }
}

onnx::ModelProto FloatExporter::run() {
  name_tensors();
  model_.set_ir_version(kIrVersion);
  model_.set_producer_name("qnudge");
  model_.add_opset_import()->set_version(kOpset);
  model_.mutable_graph()->set_name("qnudge");
  for (const Node& node : graph_.nodes) {
    const bool becomes_flat = node.op == Op::flatten || node.op == Op::gemm;
    flat_.push_back(becomes_flat || (!node.inputs.empty() && flat_[static_cast<std::size_t>(node.inputs[0])]));
  }
  for (int i = 1; i < static_cast<int>(graph_.nodes.size()); ++i) write_node(i);
  declare(*model_.mutable_graph()->add_input(), 0);
  declare(*model_.mutable_graph()->add_output(), graph_.output);
  return model_;
}

}  // namespace

void export_float_onnx(const Graph& graph, const std::filesystem::path& path) {
  const onnx::ModelProto model = FloatExporter(graph).run();
  std::string bytes;
  require(model.ByteSizeLong() < (std::size_t{1} << 31) && model.SerializeToString(&bytes), ErrorKind::usage,
          "{}: the model is larger than the 2 GiB of an ONNX file", path.string());
  write_file_atomically(path, bytes);
}

}  // namespace qnudge
