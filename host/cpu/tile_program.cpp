// SPDX-License-Identifier: MIT
#include "tile_program.hpp"

#include <algorithm>

#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {

ConvProblem conv_problem(const IntNetwork& network, const Layer& layer, std::int64_t tile, bool input_nonnegative) {
  const IntNode& node = network.at(layer.node);
  ConvProblem problem;
  problem.n = tile;
  problem.in = layer.in;
  problem.out = layer.out;
  problem.conv = layer.conv;
  problem.filter = layer.filter;
  problem.input_signed = !input_nonnegative;
  problem.float_output = network.output == layer.node && network.float_output();
  problem.low = node.low;
  problem.high = node.high;
  const HalfBounds half = half_bounds(node);
  problem.half_low = half.low;
  problem.half_high = half.high;
  return problem;
}

TileProgram::TileProgram(const IntNetwork& network, const std::vector<PreparedLayer>& layers, std::vector<int> nodes,
                         const std::vector<int>& external, const std::vector<int>& kept, std::int64_t tile)
    : network_(network), layers_(layers), nodes_(std::move(nodes)), tile_(tile) {
  const std::size_t count = network.nodes.size();
  root_.resize(count);
  steps_.resize(count);
  inputs_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    root_[i] = storage_node(network, static_cast<int>(i));
  }
  for (int i : nodes_) {
    const IntNode& node = network.at(i);
    const auto at = static_cast<std::size_t>(i);
    steps_[at] = prepare_tile(network, node, tile);
    for (const int in : node.inputs) inputs_[at].push_back(root(in));
    if (const int layer = node.layer(); layer >= 0) {
      scratch_bytes_ = std::max(scratch_bytes_, layers[static_cast<std::size_t>(layer)].kernel->scratch_bytes());
    }
  }
  place(external, kept);
}

std::size_t TileProgram::tensor_bytes(int node) const {
  return AlignedBuffer::round_up(
      static_cast<std::size_t>(tile_ * network_.at(node).shape.size() * network_.element_bytes(node)));
}

void TileProgram::place(const std::vector<int>& external, const std::vector<int>& kept) {
  const std::size_t count = network_.nodes.size();
  std::vector<bool> outside(count), survives(count);
  std::vector<std::size_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = tensor_bytes(static_cast<int>(i));
  for (int i : external) outside[static_cast<std::size_t>(root(i))] = true;
  for (int i : kept) survives[static_cast<std::size_t>(root(i))] = true;
  std::vector<TensorStep> steps;
  for (int i : nodes_) {
    if (root(i) != i) continue;  // a view
    steps.push_back({i, {}});
    for (int in : network_.at(i).inputs) steps.back().reads.push_back(root(in));
  }
  placement_ = place_tensors(steps, bytes, outside, survives);
}

TileContext TileProgram::make_context() const {
  TileContext context{AlignedBuffer(placement_.bytes), AlignedBuffer(scratch_bytes_),
                      std::vector<std::byte*>(network_.nodes.size())};
  for (const TensorPlacement::Entry& p : placement_.entries) {
    context.tensors[static_cast<std::size_t>(p.node)] = context.arena.data() + p.offset;
  }
  return context;
}

void TileProgram::set_external(TileContext& context, int node, std::byte* data) const {
  context.tensors[static_cast<std::size_t>(root(node))] = data;
}

const std::byte* TileProgram::output(const TileContext& context, int node) const {
  return context.tensors[static_cast<std::size_t>(root(node))];
}

void TileProgram::run(TileContext& context, int replaced, const std::byte* packed) const {
  for (int i : nodes_) {
    stop_point();
    const auto at = static_cast<std::size_t>(i);
    std::byte* const y = context.tensors[at];
    if (const int l = network_.at(i).layer(); l >= 0) {
      const PreparedLayer& layer = layers_[static_cast<std::size_t>(l)];
      layer.kernel->run(output(context, network_.at(i).inputs[0]), l == replaced ? packed : layer.packed.data(),
                        layer.bias.data(), y, context.scratch.data());
    } else if (steps_[at]) {
      steps_[at]->run({context.tensors.data(), inputs_[at], y});
    }
  }
}

}  // namespace qnudge
