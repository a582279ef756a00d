// SPDX-License-Identifier: MIT
#include "importer.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 31;  ///< of one activation of one sample

constexpr std::array kOperators = {
    Operator{"Add", 2, 2, 1, import_add},
    Operator{"AveragePool", 1, 1, 1, import_average_pool},
    Operator{"BatchNormalization", 5, 5, 5, import_batch_norm},
    Operator{"Clip", 1, 3, 1, import_clip},
    Operator{"Concat", 1, 1 << 30, 1, import_concat},
    Operator{"Constant", 0, 0, 1, import_constant},
    Operator{"Conv", 2, 3, 1, import_conv},
    Operator{"ConvTranspose", 2, 3, 1, import_conv_transpose},
    Operator{"Dropout", 1, 3, 2, import_dropout},
    Operator{"Flatten", 1, 1, 1, import_flatten},
    Operator{"Gemm", 2, 3, 1, import_gemm},
    Operator{"GlobalAveragePool", 1, 1, 1, import_global_average_pool},
    Operator{"Identity", 1, 1, 1, import_identity},
    Operator{"MatMul", 2, 2, 1, import_matmul},
    Operator{"MaxPool", 1, 1, 2, import_max_pool},
    Operator{"ReduceMean", 1, 2, 1, import_reduce_mean},
    Operator{"Relu", 1, 1, 1, import_relu},
    Operator{"Reshape", 2, 2, 1, import_reshape},
    Operator{"Sigmoid", 1, 1, 1, import_sigmoid},
};

/// Within [1, kMaxElements], without overflow whatever the extents.
bool acceptable(const Shape& shape) {
  const auto fits = [](std::int64_t extent) { return extent >= 1 && extent <= kMaxElements; };
  return fits(shape.h) && fits(shape.w) && fits(shape.c) && shape.h * shape.w <= kMaxElements &&
         shape.h * shape.w <= kMaxElements / shape.c;
}

}  // namespace

const Operator* find_operator(std::string_view type) {
  const auto it = std::ranges::find(kOperators, type, &Operator::type);
  return it == kOperators.end() ? nullptr : &*it;
}

std::string supported_operators() {
  std::vector<std::string_view> types;
  for (const Operator& op : kOperators) types.push_back(op.type);
  return fmt::format("{}", fmt::join(types, ", "));
}

Node make_node(FloatPrimitive what, std::string name, std::vector<int> inputs, const Shape& shape) {
  Node node;
  node.what = std::move(what);
  node.name = std::move(name);
  node.inputs = std::move(inputs);
  node.shape = shape;
  return node;
}

std::string Builder::describe(const Value& value) {
  const Shape& s = shape(value);
  if (value.flat) return fmt::format("[N, {}]", s.size());
  return rank() == 1 ? fmt::format("[N, {}, {}]", s.c, s.h) : fmt::format("[N, {}, {}, {}]", s.c, s.h, s.w);
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

Value Builder::add(Node node, bool flat) {
  node.shape = output_of(node);
  check(acceptable(node.shape), "its output of {} x {} positions and {} channels is outside 1 to 2^31 elements",
        node.shape.h, node.shape.w, node.shape.c);
  if (node.layer() != nullptr) weight_count += static_cast<std::int64_t>(node.layer()->weights.size());
  check(weight_count <= max_weights,
        "the nodes up to here hold {} weights, more than {}: too many nodes share a tensor", weight_count, max_weights);
  graph.nodes.push_back(std::move(node));
  return {.node = static_cast<int>(graph.nodes.size()) - 1, .flat = flat};
}

const Value& NodeView::activation(std::size_t i) const {
  check(has(i), "input {} is left out", i);
  check_supported(inputs[i].activation(), "input {} is a constant; constant arithmetic is not folded", i);
  return inputs[i];
}

const Value& NodeView::spatial(std::size_t i) const {
  const Value& value = activation(i);
  check(!value.flat, "input {} has rank 2; [N, C, L] or [N, C, H, W] is needed", i);
  return value;
}

const onnx::TensorProto& NodeView::constant(std::size_t i, std::string_view role) const {
  check(has(i), "the {} (input {}) are left out", role, i);
  check_supported(inputs[i].constant(), "the {} (input {}) are computed by the network; constants are needed", role, i);
  return *inputs[i].tensor;
}

}  // namespace qnudge
