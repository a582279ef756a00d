// SPDX-License-Identifier: MIT
#include "tile_program.hpp"

#include <algorithm>
#include <cstring>

#include "elementwise_loops.hpp"
#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const std::int8_t* as_codes(const std::byte* p) {
  return reinterpret_cast<const std::int8_t*>(p);
}
std::int8_t* as_codes(std::byte* p) {
  return reinterpret_cast<std::int8_t*>(p);
}

}  // namespace

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
  const bool is_float = node == network_.output && network_.float_output();
  const auto elements = static_cast<std::size_t>(tile_ * network_.at(node).shape.size());
  return AlignedBuffer::round_up(elements * (is_float ? sizeof(float) : 1));
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
  for (int i : nodes_) run_node(context, network_.at(i), i, replaced, packed);
}

void TileProgram::run_node(const TileContext& context, const IntNode& node, int index, int replaced,
                           const std::byte* packed) const {
  if (node.op == IntOp::input || node.op == IntOp::view) return;
  const auto input = [&](std::size_t i) { return as_codes(output(context, node.inputs[i])); };
  std::byte* const out = context.tensors[static_cast<std::size_t>(index)];
  const std::int64_t count = tile_ * node.shape.size();
  switch (node.op) {
    case IntOp::conv: {
      const PreparedLayer& layer = layers_[static_cast<std::size_t>(node.layer)];
      layer.kernel->run(input(0), node.layer == replaced ? packed : layer.packed.data(), layer.bias.data(), out,
                        context.scratch.data());
      break;
    }
    case IntOp::add:
      run_range(AddCodes{input(0), input(1), as_codes(out), node.multiplier_a, node.multiplier_b, node.low, node.high},
                count);
      break;
    case IntOp::clamp:
      run_range(ClampCodes{input(0), as_codes(out), node.low, node.high}, count);
      break;
    case IntOp::lookup:
      run_range(LookupCodes{input(0), node.table.data(), as_codes(out)}, count);
      break;
    case IntOp::concat:
      run_concat(context, node, as_codes(out));
      break;
    case IntOp::max_pool:
      run_pool(MaxPoolCodes{input(0), as_codes(out), network_.at(node.inputs[0]).shape, node.shape, node.pool}, count);
      break;
    case IntOp::average_pool: {
      const std::vector<float>& varying = divisors_[static_cast<std::size_t>(index)];
      run_pool(AveragePoolCodes{input(0), as_codes(out), network_.at(node.inputs[0]).shape, node.shape, node.pool,
                                node.multiplier, varying.empty() ? nullptr : varying.data()},
               count);
      break;
    }
    case IntOp::input:
    case IntOp::view:
      break;
  }
}

void TileProgram::run_concat(const TileContext& context, const IntNode& node, std::int8_t* y) const {
  const std::int64_t pixels = tile_ * node.shape.h * node.shape.w;
  std::int64_t at = 0;
  for (int in : node.inputs) {
    const std::int8_t* x = as_codes(output(context, in));
    const std::int64_t channels = network_.at(in).shape.c;
    for (std::int64_t p = 0; p < pixels; ++p) {
      std::memcpy(y + p * node.shape.c + at, x + p * channels, static_cast<std::size_t>(channels));
    }
    at += channels;
  }
}

}  // namespace qnudge
