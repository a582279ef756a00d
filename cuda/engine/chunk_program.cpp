// SPDX-License-Identifier: MIT
#include "chunk_program.hpp"

#include <algorithm>
#include <cmath>

#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::int8_t* codes(std::byte* p) {
  return reinterpret_cast<std::int8_t*>(p);
}

std::vector<bool> marked(const IntNetwork& network, const std::vector<int>& nodes) {
  std::vector<bool> marks(network.nodes.size());
  for (int i : nodes) marks[static_cast<std::size_t>(storage_node(network, i))] = true;
  return marks;
}

}  // namespace

ChunkProgram::ChunkProgram(const DeviceNetwork& network, ChunkSpec spec)
    : network_(network),
      spec_(std::move(spec)),
      external_(marked(network.description(), spec_.external)),
      kept_(marked(network.description(), spec_.kept)),
      inside_(marked(network.description(), spec_.nodes)) {
  plan_steps();
  place();
}

int ChunkProgram::root(int node) const {
  return storage_node(network_.description(), node);
}

std::size_t ChunkProgram::tensor_bytes(int node) const {
  const IntNetwork& n = network_.description();
  const std::int64_t elements = spec_.images * n.at(node).shape.size() * (shared(node) ? 1 : spec_.candidates);
  return aligned(static_cast<std::size_t>(elements) * (node == n.output && n.float_output() ? sizeof(float) : 1));
}

ConvTask ChunkProgram::task(int node) const {
  const IntNetwork& n = network_.description();
  const IntNode& conv = n.at(node);
  const Layer& layer = n.layer(conv.layer);
  ConvTask task;
  task.role = conv.layer == spec_.searched ? ConvRole::wide
              : spec_.candidates > 1       ? ConvRole::shared
                                           : ConvRole::single;
  task.images = spec_.images;
  task.candidates = spec_.candidates;
  task.in = layer.in;
  task.out = layer.out;
  task.filter = layer.filter;
  task.geometry = layer.conv;
  const Shape& lies = network_.physical(conv.inputs[0]);
  if (lies != layer.in) {  // a product over a flattened tensor: the same sum over its pixels
    task.in = lies;
    task.filter = {layer.filter.k, lies.h, lies.w, lies.c};
    task.geometry.window = Window{.r = lies.h, .s = lies.w};
  }
  task.epilogue.float_output = node == n.output && n.float_output();
  task.epilogue.low = conv.low;
  task.epilogue.high = conv.high;
  return task;
}

/// The addition as epilogue of one of its inputs, if that is a convolution that nothing else reads, with the same
/// candidates as the other input, and if a vendor engine takes it.
std::optional<ChunkProgram::Step> ChunkProgram::fuse(int add, const std::vector<bool>& taken) const {
  const IntNetwork& n = network_.description();
  const IntNode& node = n.at(add);
  for (const std::size_t own : {std::size_t{1}, std::size_t{0}}) {
    const int conv = node.inputs[own], other = node.inputs[1 - own];
    const auto at = static_cast<std::size_t>(conv);
    const auto readers = [&](const IntNode& reader) {
      return std::count(reader.inputs.begin(), reader.inputs.end(), conv);
    };
    std::int64_t count = 0;
    for (const IntNode& reader : n.nodes) count += readers(reader);
    if (n.at(conv).op != IntOp::conv || count != 1 || taken[at] || kept_[at] || external_[at] || !inside_[at]) continue;
    if (shared(other) && spec_.candidates > 1) continue;
    ConvTask fused = task(conv);
    const float m_own = own == 0 ? node.multiplier_a : node.multiplier_b;
    const float m_other = own == 0 ? node.multiplier_b : node.multiplier_a;
    fused.epilogue.addition = FusedAddition{m_own, m_other, node.low, node.high};
    ConvHandle handle = network_.device().prepare_conv(fused, n.layer(n.at(conv).layer).params.bits);
    if (handle->vendor()) return Step{add, std::move(handle), conv, 1 - own};
  }
  return std::nullopt;
}

void ChunkProgram::plan_steps() {
  const IntNetwork& n = network_.description();
  std::vector<bool> swallowed(n.nodes.size());
  std::vector<std::optional<Step>> fused(n.nodes.size());
  for (int node : spec_.nodes) {
    if (n.at(node).op != IntOp::add) continue;
    auto& step = fused[static_cast<std::size_t>(node)];
    step = fuse(node, swallowed);
    if (step) swallowed[static_cast<std::size_t>(step->fused)] = true;
  }
  for (int node : spec_.nodes) {
    const IntNode& what = n.at(node);
    if (what.op == IntOp::input || what.op == IntOp::view || swallowed[static_cast<std::size_t>(node)]) continue;
    if (fused[static_cast<std::size_t>(node)]) {
      steps_.push_back(*fused[static_cast<std::size_t>(node)]);
    } else if (what.op == IntOp::conv) {
      steps_.push_back({node, network_.device().prepare_conv(task(node), n.layer(what.layer).params.bits)});
    } else {
      steps_.push_back({node, nullptr});
    }
  }
  for (const Step& step : steps_) {
    if (step.conv) workspace_bytes_ = std::max(workspace_bytes_, step.conv->workspace_bytes());
  }
}

void ChunkProgram::place() {
  const IntNetwork& n = network_.description();
  std::vector<std::size_t> bytes(n.nodes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = tensor_bytes(static_cast<int>(i));
  std::vector<TensorStep> steps;
  for (const Step& step : steps_) {
    steps.push_back({step.node, {}});
    for (int in : n.at(step.node).inputs) {
      steps.back().reads.push_back(in == step.fused ? root(n.at(in).inputs[0]) : root(in));
    }
  }
  placement_ = place_tensors(steps, bytes, external_, kept_);
}

TensorTable ChunkProgram::tensors(std::byte* arena) const {
  TensorTable table(network_.description().nodes.size());
  for (const TensorPlacement::Entry& e : placement_.entries) table[static_cast<std::size_t>(e.node)] = arena + e.offset;
  return table;
}

std::byte* ChunkProgram::tensor(const TensorTable& at, int node) const {
  return at[static_cast<std::size_t>(root(node))];
}

LogitRows ChunkProgram::logits(const TensorTable& at) const {
  const IntNetwork& n = network_.description();
  std::byte* data = tensor(at, n.output);
  const Shape& shape = network_.physical(n.output);
  LogitRows rows{nullptr, nullptr, 1, shape.h * shape.w, shared(n.output) ? 1 : spec_.candidates, shape.c};
  if (n.float_output()) {
    rows.values = reinterpret_cast<const float*>(data);
  } else {
    rows.codes = codes(data);
    rows.scale = std::ldexp(1.0f, n.at(n.output).exponent);
  }
  return rows;
}

void ChunkProgram::append(Program& program, int stream, std::byte* arena, const TensorTable& at,
                          const WideFilter& wide) const {
  const IntNetwork& n = network_.description();
  for (const Step& step : steps_) {
    if (step.conv) {
      append_conv(program, stream, step, arena, at, wide);
    } else if (n.at(step.node).op == IntOp::add) {
      append_add(program, stream, step.node, at);
    } else if (n.at(step.node).op == IntOp::concat) {
      append_concat(program, stream, step.node, at);
    } else {
      append_elementwise(program, stream, step.node, at);
    }
  }
}

void ChunkProgram::append_conv(Program& program, int stream, const Step& step, std::byte* arena, const TensorTable& at,
                               const WideFilter& wide) const {
  const IntNetwork& n = network_.description();
  const IntNode& conv = n.at(step.fused >= 0 ? step.fused : step.node);
  const bool searched = conv.layer == spec_.searched;
  const DeviceLayer& layer = network_.layer(conv.layer);
  ConvPointers p;
  p.x = codes(tensor(at, conv.inputs[0]));
  p.w = searched ? wide.codes : layer.codes.data();
  p.bias = searched ? wide.bias : layer.bias.data();
  p.multiplier = searched ? wide.multiplier : layer.multiplier.data();
  if (step.fused >= 0) p.residual = codes(tensor(at, n.at(step.node).inputs[step.other]));
  p.y = tensor(at, step.node);
  p.workspace = arena + placement_.bytes;
  program.add(stream, RunConv{step.conv, p});
}

void ChunkProgram::append_add(Program& program, int stream, int node, const TensorTable& at) const {
  const IntNode& add = network_.description().at(node);
  const std::int64_t count = spec_.images * add.shape.size() * spec_.candidates;
  const auto input = [&](std::size_t i) { return codes(tensor(at, add.inputs[i])); };
  std::int8_t* const out = codes(tensor(at, node));
  if (spec_.candidates == 1 || shared(add.inputs[0]) == shared(add.inputs[1])) {
    program.add(
        stream,
        ForEach{AddCodes{input(0), input(1), out, add.multiplier_a, add.multiplier_b, add.low, add.high}, count});
    return;
  }
  const std::size_t own = shared(add.inputs[0]) ? 1 : 0;
  const float m_own = own == 0 ? add.multiplier_a : add.multiplier_b;
  const float m_other = own == 0 ? add.multiplier_b : add.multiplier_a;
  program.add(stream, ForEach{AddSharedCodes{input(own), input(1 - own), out, m_own, m_other, spec_.candidates,
                                             network_.physical(node).c, add.low, add.high},
                              count});
}

void ChunkProgram::append_concat(Program& program, int stream, int node, const TensorTable& at) const {
  const IntNetwork& n = network_.description();
  const IntNode& concat = n.at(node);
  std::int64_t first = 0;
  for (int in : concat.inputs) {
    const std::int64_t channels = n.at(in).shape.c;
    const std::int64_t pixels = spec_.images * concat.shape.h * concat.shape.w;
    program.add(stream,
                ForEach{ConcatCodes{codes(tensor(at, in)), codes(tensor(at, node)), spec_.candidates, channels,
                                    network_.physical(in).c, first, concat.shape.c, shared(in) && spec_.candidates > 1},
                        pixels * spec_.candidates * channels});
    first += channels;
  }
}

void ChunkProgram::append_elementwise(Program& program, int stream, int node, const TensorTable& at) const {
  const IntNetwork& n = network_.description();
  const IntNode& what = n.at(node);
  const std::int8_t* x = codes(tensor(at, what.inputs[0]));
  std::int8_t* const out = codes(tensor(at, node));
  const std::int64_t count = spec_.images * what.shape.size() * spec_.candidates;
  // Every candidate's channels are channels of their own to a pooling window.
  Shape from = network_.physical(what.inputs[0]), to = what.shape;
  from.c *= spec_.candidates;
  to.c *= spec_.candidates;
  switch (what.op) {
    case IntOp::clamp:
      program.add(stream, ForEach{ClampCodes{x, out, what.low, what.high}, count});
      break;
    case IntOp::lookup:
      program.add(stream, ForEach{LookupCodes{x, network_.table(node), out}, count});
      break;
    case IntOp::max_pool:
      program.add(stream, ForEach{MaxPoolCodes{x, out, from, to, what.pool}, count});
      break;
    case IntOp::average_pool:
      program.add(stream, ForEach{AveragePoolCodes{x, out, from, to, what.pool, what.multiplier,
                                                   network_.pool_multipliers(node)},
                                  count});
      break;
    default:
      fail(ErrorKind::internal, "node '{}': {} has no device command", what.name, to_string(what.op));
  }
}

}  // namespace qnudge::cuda
