// SPDX-License-Identifier: MIT
#include "tile_program.hpp"

#include <algorithm>
#include <cstring>

#include "elementwise_loops.hpp"
#include "qnudge/backend/element.hpp"
#include "qnudge/backend/layer_plan.hpp"

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
  divisors_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    root_[i] = storage_node(network, static_cast<int>(i));
  }
  for (int i : nodes_) {
    const IntNode& node = network.at(i);
    if (node.op == IntOp::average_pool) divisors_[static_cast<std::size_t>(i)] = pool_multipliers(network, node);
    if (node.op == IntOp::conv) {
      scratch_bytes_ = std::max(scratch_bytes_, layers[static_cast<std::size_t>(node.layer)].kernel->scratch_bytes());
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
    const IntNode& node = network_.at(i);
    if (node.op == IntOp::input || node.op == IntOp::view) continue;
    if (node.op == IntOp::conv) {
      const PreparedLayer& layer = layers_[static_cast<std::size_t>(node.layer)];
      layer.kernel->run(output(context, node.inputs[0]), node.layer == replaced ? packed : layer.packed.data(),
                        layer.bias.data(), context.tensors[static_cast<std::size_t>(i)], context.scratch.data());
    } else if (network_.half()) {
      run_elementwise<Half>(context, i);
    } else {
      run_elementwise<std::int8_t>(context, i);
    }
  }
}

template <class T>
void TileProgram::run_elementwise(const TileContext& context, int index) const {
  const IntNode& node = network_.at(index);
  const auto input = [&](std::size_t i) { return reinterpret_cast<const T*>(output(context, node.inputs[i])); };
  std::byte* const bytes = context.tensors[static_cast<std::size_t>(index)];
  T* const out = reinterpret_cast<T*>(bytes);
  const auto [low, high] = element_bounds<T>(node);
  const std::int64_t count = tile_ * node.shape.size();
  switch (node.op) {
    case IntOp::add:
      run_range(AddCodes<T>{input(0), input(1), out, node.multiplier_a, node.multiplier_b, low, high}, count);
      break;
    case IntOp::clamp:
      run_range(ClampCodes<T>{input(0), out, low, high}, count);
      break;
    case IntOp::lookup:
      run_range(LookupCodes<T>{input(0), lookup_table<T>(node).data(), out}, count);
      break;
    case IntOp::concat:
      run_concat(context, node, bytes);
      break;
    case IntOp::max_pool:
      run_pool(MaxPoolCodes<T>{input(0), out, network_.at(node.inputs[0]).shape, node.shape, node.pool}, count);
      break;
    case IntOp::average_pool: {
      const std::vector<float>& varying = divisors_[static_cast<std::size_t>(index)];
      run_pool(AveragePoolCodes<T>{input(0), out, network_.at(node.inputs[0]).shape, node.shape, node.pool,
                                   node.multiplier, varying.empty() ? nullptr : varying.data()},
               count);
      break;
    }
    case IntOp::input:
    case IntOp::conv:
    case IntOp::view:
      break;
  }
}

void TileProgram::run_concat(const TileContext& context, const IntNode& node, std::byte* y) const {
  const std::int64_t pixels = tile_ * node.shape.h * node.shape.w, size = network_.half() ? 2 : 1;
  std::int64_t at = 0;
  for (int in : node.inputs) {
    const std::byte* x = output(context, in);
    const std::int64_t bytes = network_.at(in).shape.c * size;
    for (std::int64_t p = 0; p < pixels; ++p) {
      std::memcpy(y + p * node.shape.c * size + at, x + p * bytes, static_cast<std::size_t>(bytes));
    }
    at += bytes;
  }
}

}  // namespace qnudge
