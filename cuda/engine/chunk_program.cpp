// SPDX-License-Identifier: MIT
#include "chunk_program.hpp"

#include <algorithm>
#include <cmath>

#include "primitives.hpp"
#include "qnudge/backend/layer_plan.hpp"

namespace qnudge::cuda {
namespace {

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
  return aligned(static_cast<std::size_t>(elements * n.element_bytes(node)));
}

HalfBounds ChunkProgram::bounds(const IntNode& node) const {
  if (network_.description().half()) return half_bounds(node);
  return {static_cast<float>(node.low), static_cast<float>(node.high)};
}

ConvTask ChunkProgram::task(int node) const {
  const IntNetwork& n = network_.description();
  const IntNode& conv = n.at(node);
  const Layer& layer = n.layer(conv.layer());
  ConvTask task;
  task.role = conv.layer() == spec_.searched ? ConvRole::wide
              : spec_.candidates > 1         ? ConvRole::shared
                                             : ConvRole::single;
  task.half = n.half();
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
  const auto [low, high] = bounds(conv);
  task.epilogue.low = low;
  task.epilogue.high = high;
  return task;
}

/// Of a sum of two, the addition as epilogue of one of its inputs, the second first, where that is a convolution that
/// nothing else reads, with the same candidates as the other input.
std::vector<ChunkProgram::Fusion> ChunkProgram::fusions(int add, const std::vector<bool>& taken) const {
  const IntNetwork& n = network_.description();
  const IntNode& node = n.at(add);
  std::vector<Fusion> all;
  const auto multipliers = sum_multipliers(node);
  if (!multipliers) return all;
  for (const std::size_t own : {std::size_t{1}, std::size_t{0}}) {
    const int conv = node.inputs[own], other = node.inputs[1 - own];
    const auto at = static_cast<std::size_t>(conv);
    const auto readers = [&](const IntNode& reader) {
      return std::count(reader.inputs.begin(), reader.inputs.end(), conv);
    };
    std::int64_t count = 0;
    for (const IntNode& reader : n.nodes) count += readers(reader);
    if (n.at(conv).layer() < 0 || count != 1 || taken[at] || kept_[at] || external_[at] || !inside_[at]) continue;
    if (shared(other) && spec_.candidates > 1) continue;
    Fusion fusion{conv, 1 - own, task(conv)};
    const auto [low, high] = bounds(node);
    fusion.task.epilogue.addition = FusedAddition{(*multipliers)[own], (*multipliers)[1 - own], low, high};
    all.push_back(std::move(fusion));
  }
  return all;
}

ConvRequest ChunkProgram::request(int conv, const ConvTask& task) const {
  const IntNetwork& n = network_.description();
  return {task, n.layer(n.at(conv).layer()).params.bits};
}

std::vector<std::optional<ChunkProgram::Fusion>> ChunkProgram::fuse_additions(
    const std::function<bool(const Fusion&)>& takes) const {
  const IntNetwork& n = network_.description();
  std::vector<bool> taken(n.nodes.size());
  std::vector<std::optional<Fusion>> fused(n.nodes.size());
  for (int node : spec_.nodes) {
    for (Fusion& fusion : fusions(node, taken)) {
      if (!takes(fusion)) continue;
      taken[static_cast<std::size_t>(fusion.conv)] = true;
      fused[static_cast<std::size_t>(node)] = std::move(fusion);
      break;
    }
  }
  return fused;
}

/// All convolutions at once, which takes a fraction of the time of one by one.
void ChunkProgram::prepare(const std::vector<std::optional<Fusion>>& fused) const {
  const IntNetwork& n = network_.description();
  std::vector<bool> swallowed(n.nodes.size());
  std::vector<ConvRequest> requests;
  for (const auto& fusion : fused) {
    if (!fusion) continue;
    swallowed[static_cast<std::size_t>(fusion->conv)] = true;
    requests.push_back(request(fusion->conv, fusion->task));
  }
  for (int node : spec_.nodes) {
    if (n.at(node).layer() >= 0 && !swallowed[static_cast<std::size_t>(node)]) {
      requests.push_back(request(node, task(node)));
    }
  }
  network_.device().prepare_convs(requests);
}

void ChunkProgram::plan_steps() {
  const IntNetwork& n = network_.description();
  Device& device = network_.device();
  const auto conv_of = [&](const ConvRequest& asked) { return device.prepare_conv(asked.task, asked.code_bits); };
  prepare(fuse_additions([](const Fusion&) { return true; }));
  const auto fused = fuse_additions([&](const Fusion& f) { return conv_of(request(f.conv, f.task))->vendor(); });
  std::vector<bool> swallowed(n.nodes.size());
  for (const auto& fusion : fused) {
    if (fusion) swallowed[static_cast<std::size_t>(fusion->conv)] = true;
  }
  for (int node : spec_.nodes) {
    const IntNode& what = n.at(node);
    if (what.inputs.empty() || what.view() || swallowed[static_cast<std::size_t>(node)]) continue;
    if (const auto& fusion = fused[static_cast<std::size_t>(node)]) {
      steps_.push_back({node, conv_of(request(fusion->conv, fusion->task)), fusion->conv, fusion->other});
    } else if (what.layer() >= 0) {
      steps_.push_back({node, conv_of(request(node, task(node)))});
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
  LogitRows rows{.values = nullptr,
                 .codes = nullptr,
                 .halves = nullptr,
                 .scale = n.float_output() ? 1.0f : std::ldexp(1.0f, n.at(n.output).exponent),
                 .pixels = shape.h * shape.w,
                 .candidates = shared(n.output) ? 1 : spec_.candidates,
                 .channels = shape.c};
  if (n.float_output()) {
    rows.values = reinterpret_cast<const float*>(data);
  } else if (n.half()) {
    rows.halves = reinterpret_cast<const Half*>(data);
  } else {
    rows.codes = reinterpret_cast<const std::int8_t*>(data);
  }
  return rows;
}

void ChunkProgram::append(Program& program, int stream, std::byte* arena, const TensorTable& at,
                          const WideFilter& wide) const {
  for (const Step& step : steps_) {
    if (step.conv) {
      append_conv(program, stream, step, arena, at, wide);
    } else {
      append_node(program, stream, step.node, at);
    }
  }
}

void ChunkProgram::append_conv(Program& program, int stream, const Step& step, std::byte* arena, const TensorTable& at,
                               const WideFilter& wide) const {
  const IntNetwork& n = network_.description();
  const IntNode& conv = n.at(step.fused >= 0 ? step.fused : step.node);
  const bool searched = conv.layer() == spec_.searched;
  const DeviceLayer& layer = network_.layer(conv.layer());
  ConvPointers p;
  p.x = tensor(at, conv.inputs[0]);
  p.w = searched ? wide.filters : layer.filter();
  p.bias = searched ? wide.bias : layer.bias.data();
  p.multiplier = searched ? wide.multiplier : layer.multiplier.data();
  if (step.fused >= 0) p.residual = tensor(at, n.at(step.node).inputs[step.other]);
  p.y = tensor(at, step.node);
  p.workspace = arena + placement_.bytes;
  program.add(stream, RunConv{step.conv, p});
}

void ChunkProgram::append_node(Program& program, int stream, int node, const TensorTable& at) const {
  const IntNetwork& n = network_.description();
  DeviceStep step{network_, node, spec_.images, spec_.candidates, {}, {}, tensor(at, node), program, stream};
  for (const int in : n.at(node).inputs) {
    step.inputs.push_back(tensor(at, in));
    step.shared.push_back(shared(in));
  }
  const DeviceFacet& facet = device_facet(n.at(node));
  (n.half() ? facet.halves : facet.codes)(step);
}

}  // namespace qnudge::cuda
