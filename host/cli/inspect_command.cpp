// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "qnudge/cli/command.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/onnx_import.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "qnudge/quant/quantise.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/table.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string model, output;
  std::int64_t height = 0, width = 0;
  int bits = 0;  ///< 0: 8 for a float model, the codes' own for an integer one
};

/// One layer as a person wants to know it.
struct LayerRow {
  std::string name, op;
  Shape in, out;
  FilterShape filter;
  std::int64_t groups = 1, parameters = 0, macs = 0;
  int bits = 8;
  std::int64_t bops = 0, packed_bytes = 0;
};

/// Smallest width from 2 bits on that holds every code.
int bits_of(const std::vector<std::int8_t>& codes) {
  int bits = 2;
  for (const std::int8_t code : codes) {
    while (code < -(1 << (bits - 1)) || code > (1 << (bits - 1)) - 1) ++bits;
  }
  return bits;
}

const char* op_name(const Layer& layer) {
  if (layer.gemm) return "Gemm";
  if (layer.conv.transposed) return "ConvTranspose";
  if (!layer.tunable) return "BatchNorm";
  return "Conv";
}

int activation_bits(const IntNetwork& network) {
  return network.half() ? kHalfBits : 8;
}

/// Longest name of a layer or node in a table.
constexpr std::size_t kLongestName = 40;

/// A long name without its middle: exporters tell layers apart by how they begin and end.
std::string shortened(const std::string& name) {
  if (name.size() <= kLongestName) return name;
  const auto starts_character = [&](std::size_t i) { return (static_cast<unsigned char>(name[i]) & 0xC0) != 0x80; };
  std::size_t head = kLongestName / 2 - 2, tail = name.size() - (kLongestName - head - 3);
  while (head > 0 && !starts_character(head)) --head;
  while (tail < name.size() && !starts_character(tail)) ++tail;
  return name.substr(0, head) + "..." + name.substr(tail);
}

/// Bytes of codes, int32 biases and fp32 scales: the rule of packed_size_bytes for one layer.
std::int64_t packed_bytes(const Layer& layer, int bits) {
  const auto all_equal = [](const auto& values) {
    return std::ranges::all_of(values, [&](auto value) { return value == values.front(); });
  };
  const std::vector<float>& m = layer.params.multiplier;  // a float model's layers have gains alone
  const bool shared = m.empty() ? all_equal(layer.gain) : all_equal(m);
  return (layer.filter.size() * bits + 7) / 8 + 4 * layer.filter.k + 4 * (shared ? 1 : layer.filter.k);
}

LayerRow row_of(const IntNetwork& network, const Layer& layer, int bits) {
  LayerRow row{.name = layer.name,
               .op = op_name(layer),
               .in = layer.in,
               .out = layer.out,
               .filter = layer.filter,
               .groups = layer.conv.groups,
               .parameters = layer.filter.size() + layer.filter.k,
               .macs = layer.macs(),
               .bits = bits};
  row.bops = row.macs * bits * activation_bits(network);
  row.packed_bytes = packed_bytes(layer, bits);
  return row;
}

std::string shape_text(const Shape& shape) {
  return fmt::format("{}x{}x{}", shape.h, shape.w, shape.c);
}
std::string filter_text(const FilterShape& f) {
  return fmt::format("{}x{}x{}x{}", f.k, f.r, f.s, f.c);
}

/// Sums over all layers.
LayerRow total_of(const std::vector<LayerRow>& rows) {
  LayerRow total;
  for (const LayerRow& row : rows) {
    total.parameters += row.parameters;
    total.macs += row.macs;
    total.bops += row.bops;
    total.packed_bytes += row.packed_bytes;
  }
  return total;
}

/// "21 Conv, 19 Relu, 9 Add": operators of the file, the refused ones marked.
std::string summary(const std::vector<Examination::Operator>& operators) {
  int nodes = 0;
  std::vector<std::string> parts;
  for (const Examination::Operator& op : operators) {
    nodes += op.nodes;
    const std::string refused = op.unsupported > 0 ? fmt::format(" ({} unsupported)", op.unsupported) : "";
    parts.push_back(fmt::format("{} {}{}", op.nodes, op.type, refused));
  }
  return operators.empty() ? "" : fmt::format("{} nodes: {}\n\n", nodes, fmt::join(parts, ", "));
}

std::string inspect_text(const InspectOptions& options, const std::vector<Examination::Operator>& operators,
                         const std::vector<LayerRow>& rows, const std::string& kind, int activations) {
  using Align = TextTable::Align;
  TextTable table({{"layer", Align::left},
                   {"op", Align::left},
                   {"in HxWxC"},
                   {"out HxWxC"},
                   {"filter KxRxSxC"},
                   {"groups"},
                   {"params"},
                   {"MACs"},
                   {"bits"},
                   {"BOPs"},
                   {"packed bytes"}});
  for (const LayerRow& row : rows) {
    table.add({shortened(row.name), row.op, shape_text(row.in), shape_text(row.out), filter_text(row.filter),
               count_text(row.groups), count_text(row.parameters), count_text(row.macs), fmt::format("{}", row.bits),
               count_text(row.bops), count_text(row.packed_bytes)});
  }
  table.add_rule();
  const LayerRow total = total_of(rows);
  table.add({fmt::format("{} layers", rows.size()), "", "", "", "", "", count_text(total.parameters),
             count_text(total.macs), "", count_text(total.bops), count_text(total.packed_bytes)});
  return fmt::format(
      "{}: {} model, every node is supported\n{}{}\nPer image. BOPs = MACs x weight bits x {} activation "
      "bits; packed bytes = codes, int32 biases and fp32 scales.\n",
      options.model, kind, operators.empty() ? "\n" : summary(operators), table.text(), activations);
}

Json to_json(const Shape& shape) {
  return Json::array({shape.h, shape.w, shape.c});
}

Json to_json(const std::vector<Examination::Operator>& operators) {
  Json json = Json::object();
  for (const Examination::Operator& op : operators) json[op.type] = op.nodes;
  return json;
}

std::string inspect_json(const InspectOptions& options, const std::vector<Examination::Operator>& operators,
                         const std::vector<LayerRow>& rows, bool integer) {
  Json json = {{"model", options.model}, {"kind", integer ? "qdq" : "float"}, {"supported", true}};
  if (!operators.empty()) json["operators"] = to_json(operators);
  json["layers"] = Json::array();
  for (const LayerRow& row : rows) {
    json["layers"].push_back({{"name", row.name},
                              {"op", row.op},
                              {"in", to_json(row.in)},
                              {"out", to_json(row.out)},
                              {"filter", {row.filter.k, row.filter.r, row.filter.s, row.filter.c}},
                              {"groups", row.groups},
                              {"parameters", row.parameters},
                              {"macs", row.macs},
                              {"bits", row.bits},
                              {"bops", row.bops},
                              {"packed_bytes", row.packed_bytes}});
  }
  const LayerRow total = total_of(rows);
  json["total"] = {{"parameters", total.parameters},
                   {"macs", total.macs},
                   {"bops", total.bops},
                   {"packed_bytes", total.packed_bytes}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

int show_unsupported(const InspectOptions& options, const Examination& found, Terminal& terminal, bool json) {
  const std::vector<Unsupported>& nodes = found.unsupported;
  if (json) {
    Json list = Json::array();
    for (const Unsupported& node : nodes) {
      Json entry = {{"node", node.node}, {"op", node.op_type}, {"reason", node.reason}, {"feeds", node.feeds}};
      if (!node.help.empty()) entry["help"] = node.help;
      list.push_back(std::move(entry));
    }
    const Json result = {
        {"model", options.model}, {"supported", false}, {"operators", to_json(found.operators)}, {"unsupported", list}};
    terminal.out() << result.dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return static_cast<int>(ErrorKind::input);
  }
  TextTable table({{"node", TextTable::Align::left},
                   {"op", TextTable::Align::left},
                   {"feeds", TextTable::Align::left},
                   {"why it is unsupported, and what would help", TextTable::Align::left}});
  for (const Unsupported& node : nodes) {
    std::vector<std::string> feeds;
    for (const std::string& reader : node.feeds) feeds.push_back(shortened(reader));
    table.add({shortened(node.node), node.op_type, feeds.empty() ? "-" : fmt::format("{}", fmt::join(feeds, ", ")),
               node.help.empty() ? node.reason : fmt::format("{}; {}", node.reason, node.help)});
  }
  terminal.out() << fmt::format("{}: {} unsupported node{}\n{}{}", options.model, nodes.size(),
                                nodes.size() == 1 ? "" : "s", summary(found.operators), table.text());
  return static_cast<int>(ErrorKind::input);
}

int run_inspect(const InspectOptions& options, Terminal& terminal, const OutputOptions& output) {
  const bool integer = onnx_kind(options.model) == OnnxKind::tuned;
  IntNetwork network;
  Examination found;
  if (integer) {
    network = import_qdq_onnx(options.model);
  } else {
    found = examine_onnx(options.model, {.height = options.height,
                                         .width = options.width,
                                         .height_key = "--height",
                                         .width_key = "--width",
                                         .output = options.output,
                                         .results = Results::ranked});
    if (!found.unsupported.empty()) return show_unsupported(options, found, terminal, output.json);
    network = lower(found.graph, BatchNormMode::separate);
  }
  std::vector<LayerRow> rows;
  for (const Layer& layer : network.layers) {
    constexpr int kSignBits = 2;  // of a BatchNorm on its own
    const bool half = integer && layer.params.bits == kHalfBits;
    const int usual = half ? kHalfBits : integer ? bits_of(layer.params.codes) : layer.tunable ? 8 : kSignBits;
    rows.push_back(row_of(network, layer, options.bits > 0 && layer.tunable ? options.bits : usual));
  }
  const char* kind = network.half() ? "weights-only (QDQ, half activations)" : integer ? "integer (QDQ)" : "float";
  terminal.out() << (output.json ? inspect_json(options, found.operators, rows, integer)
                                 : inspect_text(options, found.operators, rows, kind, activation_bits(network)));
  return 0;
}

}  // namespace

Action add_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  const CLI::Range extent(std::int64_t{1}, std::int64_t{1} << 16);
  app.add_option("MODEL", options->model, "ONNX model: float, or a tuned.onnx")->type_name("")->required();
  app.add_option("--height", options->height, "Input height (or length) where the model leaves it open")
      ->type_name("N")
      ->check(extent);
  app.add_option("--width", options->width, "Input width where the model leaves it open")
      ->type_name("N")
      ->check(extent);
  app.add_option("--model-output", options->output, "The output that counts, where the model has several")
      ->type_name("NAME");
  app.add_option("--bits", options->bits, "Weight bits for BOPs and packed size (default: 8, or what the codes need)")
      ->type_name("B")
      ->check(CLI::Range(2, 8));
  return [options](Terminal& terminal, const OutputOptions& output) { return run_inspect(*options, terminal, output); };
}

}  // namespace qnudge
