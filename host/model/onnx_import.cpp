// SPDX-License-Identifier: MIT
#include "qnudge/model/onnx_import.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "fingerprint.hpp"
#include "importer.hpp"
#include "onnx_model.hpp"
#include "qnudge/core/error.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using onnx::TensorShapeProto;

constexpr std::int64_t kWeightsPerByte = 8;  ///< float16 tensors may then be shared 16 times on average

/// Walks the nodes in order; whatever reads something unsupported is skipped, so that one pass finds every cause.
class Importer {
 public:
  Importer(const std::filesystem::path& path, const std::optional<ImportOptions>& options) : model_(load_onnx(path)) {
    builder_.opset = model_.opset;
    builder_.max_weights = kWeightsPerByte * model_.bytes;
    builder_.names.insert(model_.names.begin(), model_.names.end());
    builder_.names.insert(printable(model_.input->name()));
    add_input(options);
    for (int i = 0; i < model_.graph().node_size(); ++i) {
      if (model_.live[static_cast<std::size_t>(i)]) import_node(i);
    }
  }

  const std::vector<Unsupported>& unsupported() const { return unsupported_; }
  Graph finish();

 private:
  void add_input(const std::optional<ImportOptions>& options);
  std::int64_t extent(const TensorShapeProto& shape, int axis, std::int64_t symbolic) const;
  void import_node(int index);
  Value import_supported(int index, const onnx::NodeProto& proto);
  /// The same, but what is unsupported is reported and becomes an unknown Value.
  Value import_or_report(int index, const onnx::NodeProto& proto);
  NodeView view(int index) const;
  Value lookup(std::string_view tensor) const;
  void report(int index, std::string reason);

  OnnxModel model_;
  Builder builder_;
  std::unordered_map<std::string_view, Value> values_;
  std::vector<Unsupported> unsupported_;
};

/// A fixed extent as stated, a symbolic one as `symbolic` (0: unknown).
std::int64_t Importer::extent(const TensorShapeProto& shape, int axis, std::int64_t symbolic) const {
  const TensorShapeProto::Dimension& dim = shape.dim(axis);
  if (!dim.has_dim_value()) return symbolic;
  require(dim.dim_value() >= 1, ErrorKind::input,
          "{}: axis {} of the input '{}' has the extent {}; at least 1 is needed", model_.file, axis,
          printable(model_.input->name()), dim.dim_value());
  return dim.dim_value();
}

/// Without `options` a symbolic spatial extent leaves the input unknown: operators are then judged by their kind alone.
void Importer::add_input(const std::optional<ImportOptions>& options) {
  const std::string name = printable(model_.input->name());
  const auto& type = model_.input->type();
  require(type.has_tensor_type() && type.tensor_type().elem_type() == onnx::TensorProto::FLOAT, ErrorKind::input,
          "{}: the input '{}' is no FLOAT tensor", model_.file, name);
  const TensorShapeProto& shape = type.tensor_type().shape();
  require(shape.dim_size() == 3 || shape.dim_size() == 4, ErrorKind::input,
          "{}: the input '{}' has rank {}; [N, C, L] or [N, C, H, W] is needed", model_.file, name, shape.dim_size());
  Graph& graph = builder_.graph;
  graph.spatial_rank = shape.dim_size() - 2;
  graph.input_name = name;
  graph.output_name = printable(model_.output->name());
  if (shape.dim(0).has_dim_value()) builder_.batch = std::max<std::int64_t>(shape.dim(0).dim_value(), 0);
  const std::int64_t channels = extent(shape, 1, 0);
  require(channels > 0, ErrorKind::input,
          "{}: the channel axis of the input '{}' is symbolic; a fixed extent is needed", model_.file, name);
  const std::int64_t h = extent(shape, 2, options ? options->height : 0);
  const std::int64_t w = graph.spatial_rank == 1 ? 1 : extent(shape, 3, options ? options->width : 0);
  if (h <= 0 || w <= 0) {
    if (options) {
      fail(ErrorKind::input, "{}: the spatial extents of the input '{}' are symbolic; set {} to fix them", model_.file,
           name,
           graph.spatial_rank == 1 ? fmt::format("{} (its length)", options->height_key)
                                   : fmt::format("{} and {}", options->height_key, options->width_key));
    }
    values_.emplace(model_.input->name(), Value{});
    return;
  }
  try {
    values_.emplace(model_.input->name(), builder_.add(make_node(FloatInput{}, name, {}, {h, w, channels}), false));
  } catch (const Refusal& refusal) {
    fail(ErrorKind::input, "{}: the input '{}': {}", model_.file, name, refusal.what());
  }
}

Value Importer::lookup(std::string_view tensor) const {
  if (const auto it = values_.find(tensor); it != values_.end()) return it->second;
  const auto it = model_.initializers.find(tensor);
  return it == model_.initializers.end() ? Value{} : Value{.tensor = it->second};
}

NodeView Importer::view(int index) const {
  const onnx::NodeProto& proto = model_.graph().node(index);
  NodeView view{proto, model_.names[static_cast<std::size_t>(index)], {}, {}, Attributes(proto)};
  for (const std::string& input : proto.input()) {
    view.inputs.push_back(input.empty() ? Value{} : lookup(input));
    view.present.push_back(!input.empty());
  }
  return view;
}

void Importer::report(int index, std::string reason) {
  const onnx::NodeProto& proto = model_.graph().node(index);
  std::vector<int> readers;
  for (const std::string& output : proto.output()) {
    const auto it = model_.readers.find(output);
    if (!output.empty() && it != model_.readers.end()) {
      readers.insert(readers.end(), it->second.begin(), it->second.end());
    }
  }
  std::ranges::sort(readers);
  readers.erase(std::unique(readers.begin(), readers.end()), readers.end());
  Unsupported& entry = unsupported_.emplace_back();
  entry.node = model_.names[static_cast<std::size_t>(index)];
  entry.op_type = printable(proto.op_type());
  entry.reason = std::move(reason);
  for (const int reader : readers) entry.feeds.push_back(model_.names[static_cast<std::size_t>(reader)]);
}

/// Throws Refusal; an unknown Value if an input is.
Value Importer::import_supported(int index, const onnx::NodeProto& proto) {
  check_supported(proto.domain().empty() || proto.domain() == "ai.onnx", "an operator of the domain '{}'",
                  printable(proto.domain()));
  const Operator* op = find_operator(proto.op_type());
  check_supported(op != nullptr, "the operator is not supported");
  check(proto.input_size() >= op->min_inputs && proto.input_size() <= op->max_inputs,
        "it has {} inputs; {} to {} are needed", proto.input_size(), op->min_inputs, op->max_inputs);
  check(proto.output_size() >= 1 && proto.output_size() <= op->max_outputs, "it has {} outputs; 1 to {} are needed",
        proto.output_size(), op->max_outputs);
  for (int i = 1; i < proto.output_size(); ++i) {
    const std::string& output = proto.output(i);
    check_supported(output.empty() || model_.reader_count(output) == 0, "its further output '{}' is read",
                    printable(output));
  }
  NodeView node = view(index);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (node.present[i] && node.inputs[i].unknown()) return {};
  }
  const Value value = op->import(builder_, node);
  node.attributes.finish();
  return value;
}

Value Importer::import_or_report(int index, const onnx::NodeProto& proto) {
  try {
    return import_supported(index, proto);
  } catch (const Refusal& refusal) {
    if (refusal.kind() == Refusal::Kind::malformed) {
      fail(ErrorKind::input, "{}: node {}: {}", model_.file, model_.describe(index), refusal.what());
    }
    report(index, refusal.what());
    return Value{};
  }
}

void Importer::import_node(int index) {
  const onnx::NodeProto& proto = model_.graph().node(index);
  Value value = import_or_report(index, proto);
  if (proto.output_size() == 0 || proto.output(0).empty()) return;
  value.sole = value.sole && model_.reader_count(proto.output(0)) <= 1;
  values_.insert_or_assign(proto.output(0), value);
}

Graph Importer::finish() {
  const Value output = lookup(model_.output->name());
  require(output.activation(), ErrorKind::input, "{}: the output '{}' does not depend on the input", model_.file,
          builder_.graph.output_name);
  require(output.node > 0, ErrorKind::input, "{}: the output '{}' is the input itself", model_.file,
          builder_.graph.output_name);
  builder_.graph.output = output.node;
  builder_.graph.fingerprint = graph_fingerprint(builder_.graph);
  return std::move(builder_.graph);
}

/// At most `limit` entries, then how many more there are.
std::string join_some(const std::vector<std::string>& parts, std::size_t limit, std::string_view separator) {
  const auto shown = std::span(parts).first(std::min(parts.size(), limit));
  const std::string joined = fmt::format("{}", fmt::join(shown, separator));
  return parts.size() <= limit ? joined : fmt::format("{}{}and {} more", joined, separator, parts.size() - limit);
}

std::string describe(const std::vector<Unsupported>& all) {
  std::vector<std::string> parts;
  for (const Unsupported& entry : all) {
    std::vector<std::string> feeds;
    for (const std::string& reader : entry.feeds) feeds.push_back("'" + reader + "'");
    parts.push_back(fmt::format("'{}' ({}: {}), which feeds {}", entry.node, entry.op_type, entry.reason,
                                feeds.empty() ? "the output" : join_some(feeds, 8, ", ")));
  }
  return join_some(parts, 100, "; ");
}

}  // namespace

Graph import_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  Importer importer(path, options);
  require(importer.unsupported().empty(), ErrorKind::input, "{}: unsupported: {}; supported operators are {}",
          path.string(), describe(importer.unsupported()), supported_operators());
  return importer.finish();
}

std::vector<Unsupported> unsupported_nodes(const std::filesystem::path& path) {
  return Importer(path, std::nullopt).unsupported();
}

}  // namespace qnudge
