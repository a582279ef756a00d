// SPDX-License-Identifier: MIT
#include "qnudge/model/onnx_import.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "elementwise.hpp"
#include "fingerprint.hpp"
#include "fold.hpp"
#include "importer.hpp"
#include "onnx_model.hpp"
#include "qnudge/core/error.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace {

using onnx::TensorShapeProto;

constexpr std::int64_t kWeightsPerByte = 8;  ///< float16 tensors may then be shared 16 times on average
constexpr std::int64_t kFoldedPerByte = 2, kFoldedAtLeast = std::int64_t{1} << 23;  ///< elements of computed constants

/// What would help with an operator that is refused; empty where nothing is known to.
std::string_view help_for(std::string_view domain, std::string_view type) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 16> kHelp = {{
      {"ArgMax", "set model_output to the scores before it"},
      {"NonMaxSuppression", "set model_output to the boxes and scores before it"},
      {"TopK", "set model_output to the scores before it"},
      {"If", "export with fixed shapes, so that no branch depends on them"},
      {"Loop", "export with fixed shapes, so that loops are unrolled"},
      {"Scan", "export with fixed shapes, so that loops are unrolled"},
      {"LSTM", "recurrent networks are not supported; temporal convolutions are"},
      {"GRU", "recurrent networks are not supported; temporal convolutions are"},
      {"RNN", "recurrent networks are not supported; temporal convolutions are"},
      {"NonZero", "shapes must not depend on data: export with a mask instead of a selection"},
      {"Unique", "shapes must not depend on data"},
      {"Gather", "indices must be constants: embeddings of token numbers belong before the model"},
      {"RandomNormal", "export the model for inference, not for training"},
      {"RandomUniform", "export the model for inference, not for training"},
      {"Dropout", "export the model for inference, not for training"},
      {"FusedConv", "give the file from before ONNX Runtime's optimiser"},
  }};
  if (domain == "com.microsoft") return "give the file from before ONNX Runtime's optimiser";
  if (!domain.empty() && domain != "ai.onnx") return "export with the standard operators alone";
  const auto it = std::ranges::find(kHelp, type, [](const auto& row) { return row.first; });
  return it == kHelp.end() ? "" : it->second;
}

/// Keeps what the output depends on, and the input.
void drop_dead_nodes(Graph& graph) {
  std::vector<int> place(graph.nodes.size(), -1);
  place[0] = place[static_cast<std::size_t>(graph.output)] = 0;
  for (int i = graph.output; i >= 0; --i) {
    if (place[static_cast<std::size_t>(i)] < 0) continue;
    for (const int input : graph.nodes[static_cast<std::size_t>(i)].inputs) place[static_cast<std::size_t>(input)] = 0;
  }
  std::vector<Node> kept;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (place[i] < 0) continue;
    place[i] = static_cast<int>(kept.size());
    for (int& input : graph.nodes[i].inputs) input = place[static_cast<std::size_t>(input)];
    kept.push_back(std::move(graph.nodes[i]));
  }
  graph.output = place[static_cast<std::size_t>(graph.output)];
  graph.nodes = std::move(kept);
}

/// Walks the nodes in order; whatever reads something unsupported is skipped, so that one pass finds every cause.
class Importer {
 public:
  /// Without `keep_weights` the graph's layers hold none, and a symbolic extent leaves the input unknown: operators are
  /// then judged by their kind alone.
  Importer(const std::filesystem::path& path, const ImportOptions& options, bool keep_weights)
      : model_(load_onnx(path, options.output)) {
    builder_.opset = model_.opset;
    builder_.keep_weights = keep_weights;
    builder_.max_weights = kWeightsPerByte * model_.bytes;
    builder_.max_folded = kFoldedPerByte * model_.bytes + kFoldedAtLeast;
    builder_.names.insert(model_.names.begin(), model_.names.end());
    builder_.names.insert(printable(model_.input->name()));
    if (options.results == Results::ranked) mark_heads();
    add_input(options);
    for (int i = 0; i < model_.graph().node_size(); ++i) {
      if (model_.live[static_cast<std::size_t>(i)]) import_node(i);
    }
  }

  const OnnxModel& model() const { return model_; }
  std::vector<Unsupported>& unsupported() { return unsupported_; }
  bool has_input() const { return lookup(model_.input->name()).activation(); }
  Graph finish();

 private:
  /// Notes the operators behind the scores that keep their order.
  void mark_heads();
  void add_input(const ImportOptions& options);
  std::int64_t extent(const TensorShapeProto& shape, int axis, std::int64_t symbolic) const;
  void import_node(int index);
  /// Values of the outputs, as many as are known; none behind something unsupported. Throws Refusal.
  std::vector<Value> import_supported(int index, const onnx::NodeProto& proto);
  std::vector<Value> fold(NodeView& node, const FoldOperator& op);
  /// As import_supported, but what is unsupported is reported.
  std::vector<Value> import_or_report(int index, const onnx::NodeProto& proto);
  void check_outputs(const onnx::NodeProto& proto, std::size_t have) const;
  bool is_transposed(std::initializer_list<std::int64_t> perm) const;
  NodeView view(int index) const;
  Value lookup(std::string_view tensor) const;
  void report(int index, std::string reason);

  OnnxModel model_;
  Builder builder_;
  std::unordered_map<std::string_view, Value> values_;
  std::vector<Unsupported> unsupported_;
  std::unordered_set<int> heads_;
};

void Importer::mark_heads() {
  constexpr std::array<std::string_view, 5> kTypes = {"Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "Identity"};
  std::string_view tensor = model_.output->name();
  for (int i = model_.graph().node_size() - 1; i >= 0 && model_.reader_count(tensor) == 1; --i) {
    const onnx::NodeProto& node = model_.graph().node(i);
    if (std::ranges::find(node.output(), tensor) == node.output().end()) continue;
    const bool found = std::ranges::count(kTypes, node.op_type()) == 1 && node.input_size() == 1;
    if (!found || (node.op_type() == "ArgMax" && !heads_.empty())) return;
    if (node.op_type() != "Identity") heads_.insert(i);
    tensor = node.input(0);
  }
}

/// A fixed extent as stated, a symbolic one as `symbolic` (0: unknown).
std::int64_t Importer::extent(const TensorShapeProto& shape, int axis, std::int64_t symbolic) const {
  const TensorShapeProto::Dimension& dim = shape.dim(axis);
  if (!dim.has_dim_value()) return symbolic;
  require(dim.dim_value() >= 1, ErrorKind::input,
          "{}: axis {} of the input '{}' has the extent {}; at least 1 is needed", model_.file, axis,
          printable(model_.input->name()), dim.dim_value());
  return dim.dim_value();
}

/// Whether all readers of the input transpose it so.
bool Importer::is_transposed(std::initializer_list<std::int64_t> perm) const {
  const auto readers = model_.readers.find(model_.input->name());
  if (readers == model_.readers.end()) return false;
  return std::ranges::all_of(readers->second, [&](int reader) {
    const onnx::NodeProto& node = model_.graph().node(reader);
    return node.op_type() == "Transpose" && node.attribute_size() == 1 &&
           std::ranges::equal(node.attribute(0).ints(), perm);
  });
}

/// [N, C, H, W] or [N, C, L], the channels last where the model begins with their transposition, or [N, C].
void Importer::add_input(const ImportOptions& options) {
  const std::string name = printable(model_.input->name());
  const auto& type = model_.input->type();
  require(type.has_tensor_type() && type.tensor_type().elem_type() == onnx::TensorProto::FLOAT, ErrorKind::input,
          "{}: the input '{}' is no FLOAT tensor; export the model with a float32 input", model_.file, name);
  const TensorShapeProto& shape = type.tensor_type().shape();
  const int rank = shape.dim_size();
  require(rank >= 2 && rank <= 4, ErrorKind::input,
          "{}: the input '{}' has rank {}; [N, C], [N, C, L] or [N, C, H, W] is needed", model_.file, name, rank);
  Graph& graph = builder_.graph;
  graph.spatial_rank = rank == 3 ? 1 : 2;
  graph.input_name = name;
  graph.output_name = printable(model_.output->name());
  if (shape.dim(0).has_dim_value()) builder_.batch = std::max<std::int64_t>(shape.dim(0).dim_value(), 0);
  const bool channels_last = rank == 4 ? is_transposed({0, 3, 1, 2}) : rank == 3 && is_transposed({0, 2, 1});
  const int channel = channels_last ? rank - 1 : 1, first = channels_last ? 1 : 2;
  const std::int64_t channels = extent(shape, channel, 0);
  require(channels > 0, ErrorKind::input,
          "{}: the channel axis of the input '{}' is symbolic; a fixed extent is needed", model_.file, name);
  const std::int64_t h = rank < 3 ? 1 : extent(shape, first, options.height);
  const std::int64_t w = rank < 4 ? 1 : extent(shape, first + 1, options.width);
  if (h <= 0 || w <= 0) {
    require(!builder_.keep_weights, ErrorKind::input,
            "{}: the spatial extents of the input '{}' are symbolic; set {} to fix them", model_.file, name,
            rank == 3 ? fmt::format("{} (its length)", options.height_key)
                      : fmt::format("{} and {}", options.height_key, options.width_key));
    values_.emplace(model_.input->name(), Value{});
    return;
  }
  const Shape sample{h, w, channels};
  graph.ends.input_channels_last = channels_last;
  graph.ends.input_matrix = rank == 2;
  IndexMap map = rank == 2 ? features(channels) : channels_first(sample, static_cast<std::size_t>(rank) - 2);
  if (channels_last)
    map = map.transpose(rank == 4 ? std::vector<std::size_t>{0, 2, 3, 1} : std::vector<std::size_t>{0, 2, 1});
  try {
    values_.emplace(model_.input->name(), builder_.add(make_node(FloatInput{}, name, {}, sample), std::move(map)));
  } catch (const Refusal& refusal) {
    fail(ErrorKind::input, "{}: the input '{}': {}", model_.file, name, refusal.what());
  }
}

Value Importer::lookup(std::string_view tensor) const {
  if (const auto it = values_.find(tensor); it != values_.end()) return it->second;
  const auto it = model_.initializers.find(tensor);
  return it == model_.initializers.end() ? Value{} : Value{.stored = &it->second};
}

NodeView Importer::view(int index) const {
  const onnx::NodeProto& proto = model_.graph().node(index);
  NodeView view{
      proto, model_.names[static_cast<std::size_t>(index)], {}, {}, Attributes(proto), heads_.contains(index)};
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
  entry.help = help_for(proto.domain(), proto.op_type());
  entry.reason = std::move(reason);
  for (const int reader : readers) entry.feeds.push_back(model_.names[static_cast<std::size_t>(reader)]);
}

std::vector<Value> Importer::fold(NodeView& node, const FoldOperator& op) {
  FoldView view{builder_, node, {}};
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    view.inputs.push_back(node.present[i] ? builder_.known(node.inputs[i]) : nullptr);
  }
  std::vector<Value> values;
  for (Known& known : op.fold(view)) values.push_back({.known = std::make_shared<Known>(std::move(known))});
  return values;
}

/// Outputs beyond those that the operator gives must not be read.
void Importer::check_outputs(const onnx::NodeProto& proto, std::size_t have) const {
  for (int i = static_cast<int>(have); i < proto.output_size(); ++i) {
    const std::string& output = proto.output(i);
    if (!output.empty() && model_.reader_count(output) > 0) {
      qnudge::unsupported("its further output '{}' is read", printable(output));
    }
  }
}

std::vector<Value> Importer::import_supported(int index, const onnx::NodeProto& proto) {
  check_supported(proto.domain().empty() || proto.domain() == "ai.onnx", "an operator of the domain '{}'",
                  printable(proto.domain()));
  NodeView node = view(index);
  bool constant = !node.inputs.empty(), unknown = false, computed = true;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const Value& input = node.inputs[i];
    constant = constant && (!node.present[i] || input.constant());
    computed = computed && (!node.present[i] || input.constant() || input.computed);
    unknown = unknown || (node.present[i] && input.unknown());
  }
  const FoldOperator* const folds = find_fold(proto.op_type());
  const Operator* const op = find_operator(proto.op_type());
  const auto check_arity = [&](const auto& entry) {
    check(proto.input_size() >= entry.min_inputs && proto.input_size() <= entry.max_inputs,
          "it has {} inputs; {} to {} are needed", proto.input_size(), entry.min_inputs, entry.max_inputs);
    check(proto.output_size() >= 1 && proto.output_size() <= entry.max_outputs, "it has {} outputs; 1 to {} are needed",
          proto.output_size(), entry.max_outputs);
  };
  std::vector<Value> values;
  if (constant && folds != nullptr) {
    check_arity(*folds);
    values = fold(node, *folds);
  } else {
    if (unknown && computed && folds != nullptr)
      return std::vector(static_cast<std::size_t>(proto.output_size()), Value{.computed = true});
    check_supported(op != nullptr, "{}",
                    folds == nullptr ? "the operator is not supported" : "it can be computed of constants alone");
    if (op != nullptr) check_arity(*op);
    if (op == nullptr || op->import_all == nullptr) check_outputs(proto, 1);
    for (Value& input : node.inputs) {
      if (op == nullptr || !input.activation()) continue;
      if (builder_.batch == 1) input.map = input.map.with_one_sample();
      if (!op->window) input = without_padding(builder_, node.name, input);
      if (!op->element_wise) input = builder_.computed(input);
    }
    if (unknown) return {Value{.computed = proto.op_type() == "Shape" || proto.op_type() == "Size"}};
    values = op->import_all != nullptr ? op->import_all(builder_, node) : std::vector{op->import(builder_, node)};
  }
  node.attributes.finish();
  return values;
}

std::vector<Value> Importer::import_or_report(int index, const onnx::NodeProto& proto) {
  try {
    return import_supported(index, proto);
  } catch (const Refusal& refusal) {
    if (refusal.kind() == Refusal::Kind::malformed) {
      fail(ErrorKind::input, "{}: node {}: {}", model_.file, model_.describe(index), refusal.what());
    }
    report(index, refusal.what());
    return {};
  }
}

void Importer::import_node(int index) {
  const onnx::NodeProto& proto = model_.graph().node(index);
  std::vector<Value> values = import_or_report(index, proto);
  values.resize(static_cast<std::size_t>(proto.output_size()));
  for (int i = 0; i < proto.output_size(); ++i) {
    if (proto.output(i).empty()) continue;
    Value& value = values[static_cast<std::size_t>(i)];
    value.sole = value.sole && model_.reader_count(proto.output(i)) <= 1;
    values_.insert_or_assign(proto.output(i), std::move(value));
  }
}

Graph Importer::finish() {
  Value output = lookup(model_.output->name());
  require(output.activation(), ErrorKind::input, "{}: the output '{}' does not depend on the input", model_.file,
          builder_.graph.output_name);
  try {
    if (builder_.batch == 1) output.map = output.map.with_one_sample();
    output = builder_.computed(without_padding(builder_, builder_.graph.output_name, output));
    const std::size_t rank = output.map.rank();
    if (rank >= 3 && builder_.channel_axis(output) == rank - 1) {
      std::vector<std::size_t> order{0, rank - 1, 1};
      if (rank == 4) order.push_back(2);
      output.map = output.map.transpose(order);
      builder_.graph.ends.output_channels_last = true;
    }
    output = rank == 2 ? builder_.flat(output) : rank == 3 || rank == 4 ? builder_.spatial(output) : Value{};
    check_supported(output.activation(), "rank {}; 2 to 4 are supported", rank);
  } catch (const Refusal& refusal) {
    fail(ErrorKind::input, "{}: the output '{}': {}", model_.file, builder_.graph.output_name, refusal.what());
  }
  require(output.node > 0, ErrorKind::input, "{}: the output '{}' is the input itself", model_.file,
          builder_.graph.output_name);
  builder_.graph.output = output.node;
  drop_dead_nodes(builder_.graph);
  if (builder_.keep_weights) builder_.graph.fingerprint = graph_fingerprint(builder_.graph);
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
    const std::string help = entry.help.empty() ? "" : fmt::format(" ({})", entry.help);
    parts.push_back(fmt::format("'{}' ({}: {}), which feeds {}{}", entry.node, entry.op_type, entry.reason,
                                feeds.empty() ? "the output" : join_some(feeds, 8, ", "), help));
  }
  return join_some(parts, 100, "; ");
}

}  // namespace

Graph import_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  Importer importer(path, options, true);
  require(importer.unsupported().empty(), ErrorKind::input, "{}: unsupported: {}; supported operators are {}",
          path.string(), describe(importer.unsupported()), supported_operators());
  return importer.finish();
}

Examination examine_onnx(const std::filesystem::path& path, const ImportOptions& options) {
  Importer importer(path, options, false);
  Examination result;
  std::map<std::string, Examination::Operator> operators;
  const OnnxModel& model = importer.model();
  for (int i = 0; i < model.graph().node_size(); ++i) {
    if (!model.live[static_cast<std::size_t>(i)]) continue;
    const std::string type = printable(model.graph().node(i).op_type());
    operators.try_emplace(type, Examination::Operator{type}).first->second.nodes++;
  }
  for (const Unsupported& refused : importer.unsupported()) operators[refused.op_type].unsupported++;
  for (auto& [type, entry] : operators) result.operators.push_back(std::move(entry));
  std::ranges::stable_sort(result.operators, std::ranges::greater(), &Examination::Operator::nodes);
  result.unsupported = std::move(importer.unsupported());
  if (!result.unsupported.empty()) return result;
  if (!importer.has_input()) import_onnx(path, options);  // says which extents are missing
  result.graph = importer.finish();
  return result;
}

OnnxKind onnx_kind(const std::filesystem::path& path) {
  try {
    const onnx::ModelProto model = parse_onnx(path).proto;
    const bool quantised = std::ranges::any_of(
        model.graph().node(), [](const onnx::NodeProto& node) { return !quantisation_of(node.op_type()).empty(); });
    if (!quantised) return OnnxKind::plain;
    return model.producer_name() == "qnudge" ? OnnxKind::tuned : OnnxKind::quantised;
  } catch (const Error&) {
    return OnnxKind::plain;
  }
}

}  // namespace qnudge
