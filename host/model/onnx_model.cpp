// SPDX-License-Identifier: MIT
#include "onnx_model.hpp"

#include <google/protobuf/stubs/logging.h>

#include <limits>
#include <unordered_set>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr int kOldestOpset = 11, kNewestOpset = 21;

void parse(OnnxModel& model, const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  require(bytes.size() <= static_cast<std::size_t>(std::numeric_limits<int>::max()), ErrorKind::input,
          "{}: has {} bytes; an ONNX model holds less than 2 GiB", model.file, bytes.size());
  model.bytes = static_cast<std::int64_t>(bytes.size());
  const google::protobuf::LogSilencer silence;  // the user gets our sentence instead of the parser's log
  require(model.proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())), ErrorKind::input,
          "{}: is no ONNX model, or was truncated or corrupted", model.file);
  require(model.proto.has_graph(), ErrorKind::input, "{}: holds no ONNX graph; it is empty or another kind of file",
          model.file);
  require(model.graph().node_size() > 0, ErrorKind::input, "{}: the graph has no nodes", model.file);
  require(model.graph().sparse_initializer_size() == 0, ErrorKind::input,
          "{}: has sparse initializers; dense ones are needed", model.file);
}

void read_opset(OnnxModel& model) {
  int found = 0;
  for (const onnx::OperatorSetIdProto& entry : model.proto.opset_import()) {
    if (!entry.domain().empty() && entry.domain() != "ai.onnx") continue;
    ++found;
    require(entry.version() >= kOldestOpset && entry.version() <= kNewestOpset, ErrorKind::input,
            "{}: uses opset {}; {} to {} are supported", model.file, entry.version(), kOldestOpset, kNewestOpset);
    model.opset = static_cast<int>(entry.version());
  }
  require(found == 1, ErrorKind::input, "{}: states {} opsets of the default domain; one is needed", model.file, found);
}

void index_initializers(OnnxModel& model) {
  for (const onnx::TensorProto& tensor : model.graph().initializer()) {
    require(!tensor.name().empty() && model.initializers.try_emplace(tensor.name(), &tensor).second, ErrorKind::input,
            "{}: the initializer '{}' stands twice or has no name", model.file, printable(tensor.name()));
  }
}

void find_ends(OnnxModel& model) {
  std::unordered_set<std::string_view> names;
  for (const onnx::ValueInfoProto& info : model.graph().input()) {
    require(!info.name().empty() && names.insert(info.name()).second, ErrorKind::input,
            "{}: the graph input '{}' stands twice or has no name", model.file, printable(info.name()));
    if (model.initializers.contains(info.name())) continue;
    require(model.input == nullptr, ErrorKind::input, "{}: has the inputs '{}' and '{}'; one input is supported",
            model.file, model.input == nullptr ? "" : printable(model.input->name()), printable(info.name()));
    model.input = &info;
  }
  require(model.input != nullptr, ErrorKind::input, "{}: has no input that is not an initializer", model.file);
  require(model.graph().output_size() == 1, ErrorKind::input, "{}: has {} outputs; one is supported", model.file,
          model.graph().output_size());
  model.output = &model.graph().output(0);
}

/// Display names: "<op>_<index>" where there is none; a repeated name gets the first free suffix.
void name_nodes(OnnxModel& model) {
  std::unordered_set<std::string> taken{printable(model.input->name())};
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
Producers index_producers(const OnnxModel& model) {
  Producers producers{{model.input->name(), -1}};
  for (const auto& [name, tensor] : model.initializers) producers.emplace(name, -1);
  for (int i = 0; i < model.graph().node_size(); ++i) {
    for (const std::string& output : model.graph().node(i).output()) {
      if (output.empty()) continue;
      require(producers.emplace(output, i).second, ErrorKind::input,
              "{}: node {} produces the tensor '{}' a second time", model.file, model.describe(i), printable(output));
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
      require(source != producers.end(), ErrorKind::input, "{}: node {} reads the tensor '{}', which nothing produces",
              model.file, model.describe(i), printable(input));
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

std::size_t OnnxModel::reader_count(std::string_view tensor) const {
  const auto it = readers.find(tensor);
  return (it == readers.end() ? 0 : it->second.size()) + (tensor == output->name() ? 1 : 0);
}

std::string OnnxModel::describe(int node) const {
  return fmt::format("'{}' ({})", names[static_cast<std::size_t>(node)], printable(graph().node(node).op_type()));
}

OnnxModel load_onnx(const std::filesystem::path& path) {
  OnnxModel model;
  model.file = path.string();
  parse(model, path);
  read_opset(model);
  index_initializers(model);
  find_ends(model);
  name_nodes(model);
  const Producers producers = index_producers(model);
  mark_live(model, producers);
  index_readers(model);
  return model;
}

}  // namespace qnudge
