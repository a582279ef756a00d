// SPDX-License-Identifier: MIT
#include "onnx_model.hpp"

#include <fmt/ranges.h>

#include <map>
#include <unordered_set>
#include <utility>

#include "fuse.hpp"
#include "qnudge/core/error.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr int kOldestOpset = 7, kNewestOpset = 22;

void parse(OnnxModel& model, const std::filesystem::path& path) {
  ParsedOnnx parsed = parse_onnx(path);
  model.proto = std::move(parsed.proto);
  model.bytes = parsed.bytes;
  require(model.graph().node_size() > 0, ErrorKind::input, "{}: the graph has no nodes", model.file);
  require(model.graph().sparse_initializer_size() == 0, ErrorKind::input,
          "{}: has sparse initializers; dense ones are needed", model.file);
  ExternalData external(path);
  for (int i = 0; i < model.graph().initializer_size(); ++i) {
    const onnx::TensorProto& tensor = model.graph().initializer(i);
    StoredTensor stored{&tensor, parsed.raw[static_cast<std::size_t>(i)]};
    try {
      if (tensor.data_location() == onnx::TensorProto::EXTERNAL) stored.raw = external.find(tensor);
    } catch (const Refusal& refusal) {
      fail(ErrorKind::input, "{}: {}", model.file, refusal.what());
    }
    const bool fresh = !tensor.name().empty() && model.initializers.try_emplace(tensor.name(), stored).second;
    if (!fresh) {
      fail(ErrorKind::input, "{}: the initializer '{}' stands twice or has no name", model.file,
           printable(tensor.name()));
    }
  }
  model.bytes += external.bytes();
}

void refuse_quantised(const OnnxModel& model) {
  std::map<std::string_view, std::map<std::string, int>> found;  // operators by kind
  for (const onnx::NodeProto& node : model.graph().node()) {
    const std::string_view kind = quantisation_of(node.op_type());
    if (!kind.empty()) ++found[kind][printable(node.op_type())];
  }
  if (found.empty()) return;
  const auto kind = found.contains("QOperator") ? "QOperator" : found.contains("dynamic") ? "dynamic" : "QDQ";
  std::vector<std::string> parts;
  for (const auto& [op, count] : found[kind]) parts.push_back(fmt::format("{} {}", count, op));
  fail(
      ErrorKind::input,
      "{}: is already quantised ({}: {}): another tool (producer \"{}\") wrote it; qnudge makes its own integers: give "
      "the float model that it was made from",
      model.file, kind, fmt::join(parts, ", "), printable(model.proto.producer_name()));
}

void read_opset(OnnxModel& model) {
  int found = 0;
  for (const onnx::OperatorSetIdProto& entry : model.proto.opset_import()) {
    if (!entry.domain().empty() && entry.domain() != "ai.onnx") continue;
    ++found;
    require(entry.version() >= kOldestOpset && entry.version() <= kNewestOpset, ErrorKind::input,
            "{}: uses opset {}; {} to {} are supported: export it with one of those", model.file, entry.version(),
            kOldestOpset, kNewestOpset);
    model.opset = static_cast<int>(entry.version());
  }
  require(found == 1, ErrorKind::input, "{}: states {} opsets of the default domain; one is needed", model.file, found);
}

void find_output(OnnxModel& model, const std::string& wanted) {
  std::vector<std::string> names;
  for (const onnx::ValueInfoProto& info : model.graph().output()) {
    names.push_back(fmt::format("'{}'", printable(info.name())));
    if (info.name() == wanted || (wanted.empty() && model.graph().output_size() == 1)) model.output = &info;
  }
  require(model.output != nullptr || !wanted.empty(), ErrorKind::input,
          "{}: has the outputs {}; set model_output to the one that counts", model.file, fmt::join(names, ", "));
  require(model.output != nullptr, ErrorKind::input, "{}: has no output '{}' (model_output); it has {}", model.file,
          printable(wanted), fmt::join(names, ", "));
}

/// The inputs that are no initializers. Initializers may be inputs too: then they are defaults.
std::vector<const onnx::ValueInfoProto*> find_inputs(const OnnxModel& model) {
  std::unordered_set<std::string_view> names;
  std::vector<const onnx::ValueInfoProto*> inputs;
  for (const onnx::ValueInfoProto& info : model.graph().input()) {
    if (info.name().empty() || !names.insert(info.name()).second) {
      fail(ErrorKind::input, "{}: the graph input '{}' stands twice or has no name", model.file,
           printable(info.name()));
    }
    if (!model.initializers.contains(info.name())) inputs.push_back(&info);
  }
  require(!inputs.empty(), ErrorKind::input, "{}: has no input that is not an initializer", model.file);
  return inputs;
}

/// The one input that the output depends on.
void choose_input(OnnxModel& model, const std::vector<const onnx::ValueInfoProto*>& inputs) {
  std::vector<std::string> names;
  for (const onnx::ValueInfoProto* info : inputs) {
    if (inputs.size() > 1 && !model.readers.contains(info->name())) continue;
    model.input = info;
    names.push_back(fmt::format("'{}'", printable(info->name())));
  }
  require(names.size() == 1, ErrorKind::input, "{}: the output '{}' depends on {} inputs{}{}; one is supported",
          model.file, printable(model.output->name()), names.size(), names.empty() ? "" : ": ", fmt::join(names, ", "));
}

/// Display names: "<op>_<index>" where there is none; a repeated name gets the first free suffix.
void name_nodes(OnnxModel& model) {
  std::unordered_set<std::string> taken;
  for (const onnx::ValueInfoProto& info : model.graph().input()) {
    if (!model.initializers.contains(info.name())) taken.insert(printable(info.name()));
  }
  std::unordered_map<std::string, int> next_suffix;
  for (int i = 0; i < model.graph().node_size(); ++i) {
    const onnx::NodeProto& node = model.graph().node(i);
    const std::string wanted =
        node.name().empty() ? fmt::format("{}_{}", printable(node.op_type()), i) : printable(node.name());
    std::string name = wanted;
    while (!taken.insert(name).second) name = fmt::format("{}_{}", wanted, ++next_suffix[wanted] + 1);
    model.names.push_back(std::move(name));
  }
}

using Producers = std::unordered_map<std::string_view, int>;  ///< -1: input or initializer

/// Every tensor is defined once.
Producers index_producers(const OnnxModel& model, const std::vector<const onnx::ValueInfoProto*>& inputs) {
  Producers producers;
  for (const onnx::ValueInfoProto* info : inputs) producers.emplace(info->name(), -1);
  for (const auto& [name, tensor] : model.initializers) producers.emplace(name, -1);
  for (int i = 0; i < model.graph().node_size(); ++i) {
    for (const std::string& output : model.graph().node(i).output()) {
      if (output.empty()) continue;
      if (!producers.emplace(output, i).second) {
        fail(ErrorKind::input, "{}: node {} produces the tensor '{}' a second time", model.file, model.describe(i),
             printable(output));
      }
    }
  }
  return producers;
}

/// Marks what the output depends on, backwards; a node may only read what stands before it, so cycles cannot pass.
void mark_live(OnnxModel& model, const Producers& producers) {
  model.live.assign(static_cast<std::size_t>(model.graph().node_size()), false);
  const auto end = producers.find(model.output->name());
  require(end != producers.end(), ErrorKind::input, "{}: nothing produces the output '{}'", model.file,
          printable(model.output->name()));
  require(end->second >= 0, ErrorKind::input, "{}: the output '{}' is an input or a constant; no node computes it",
          model.file, printable(model.output->name()));
  model.live[static_cast<std::size_t>(end->second)] = true;
  for (int i = end->second; i >= 0; --i) {
    if (!model.live[static_cast<std::size_t>(i)]) continue;
    for (const std::string& input : model.graph().node(i).input()) {
      if (input.empty()) continue;
      const auto source = producers.find(input);
      if (source == producers.end()) {
        fail(ErrorKind::input, "{}: node {} reads the tensor '{}', which nothing produces", model.file,
             model.describe(i), printable(input));
      }
      if (source->second >= i) {
        fail(ErrorKind::input,
             "{}: node {} reads the tensor '{}', which only node {} produces; nodes must be sorted and free of cycles",
             model.file, model.describe(i), printable(input), model.describe(source->second));
      }
      if (source->second >= 0) model.live[static_cast<std::size_t>(source->second)] = true;
    }
  }
}

void index_readers(OnnxModel& model) {
  for (int i = 0; i < model.graph().node_size(); ++i) {
    if (!model.live[static_cast<std::size_t>(i)]) continue;
    for (const std::string& input : model.graph().node(i).input()) model.readers[input].push_back(i);
  }
}

}  // namespace

std::string_view quantisation_of(std::string_view op) {
  if (op == "QuantizeLinear" || op == "DequantizeLinear") return "QDQ";
  if (op == "DynamicQuantizeLinear" || op == "ConvInteger" || op == "MatMulInteger" || op == "MatMulNBits" ||
      op.starts_with("DynamicQuantize")) {
    return "dynamic";
  }
  return op.starts_with("QLinear") || op == "QGemm" || op == "QAttention" ? "QOperator" : "";
}

std::size_t OnnxModel::reader_count(std::string_view tensor) const {
  const auto it = readers.find(tensor);
  return (it == readers.end() ? 0 : it->second.size()) + (tensor == output->name() ? 1 : 0);
}

std::string OnnxModel::describe(int node) const {
  return fmt::format("'{}' ({})", names[static_cast<std::size_t>(node)], printable(graph().node(node).op_type()));
}

OnnxModel load_onnx(const std::filesystem::path& path, const std::string& output) {
  OnnxModel model;
  model.file = path.string();
  parse(model, path);
  refuse_quantised(model);
  read_opset(model);
  fuse_patterns(*model.proto.mutable_graph(), model.initializers);
  find_output(model, output);
  const auto inputs = find_inputs(model);
  name_nodes(model);
  const Producers producers = index_producers(model, inputs);
  mark_live(model, producers);
  index_readers(model);
  choose_input(model, inputs);
  return model;
}

}  // namespace qnudge
