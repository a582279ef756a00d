// SPDX-License-Identifier: MIT
#include "sensitivity.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "judgement.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace {

bool searchable(const Config& config, const Layer& layer) {
  const auto& skip = config.search.skip;
  return layer.tunable && std::find(skip.begin(), skip.end(), layer.name) == skip.end();
}

}  // namespace

Sensitivity forward_order(const Config& config, const IntNetwork& network) {
  Sensitivity order;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const Layer& layer = network.layers[l];
    if (searchable(config, layer)) order.entries.push_back({static_cast<int>(l), layer.name, 0, 0, std::nullopt});
  }
  return order;
}

Sensitivity measure_sensitivity(const Config& config, const IntNetwork& network, Session& session,
                                const ImagesHandle& images) {
  const std::vector<LayerParams> rest = rest_params(network, config.quant);
  for (std::size_t l = 0; l < rest.size(); ++l) session.set_layer(static_cast<int>(l), rest[l]);

  Sensitivity result = forward_order(config, network);
  for (Sensitivity::Entry& entry : result.entries) {
    stop_point();
    const Layer& layer = network.layer(entry.layer);
    Grid grid = grid_of_layer(config.quant, layer);
    grid.bits = config.search.sensitivity_bits;
    session.set_layer(entry.layer, quantise_layer(network, layer, grid));
    const Evaluation found = session.evaluate(images);
    entry.correct = found.correct;
    entry.n = images->count();
    if (!found.errors.empty()) {
      entry.squared_error = mean_squared_error(total_error(found.errors), entry.n * network.output_size(),
                                               network.nodes.front().exponent);
    }
    session.set_layer(entry.layer, rest[static_cast<std::size_t>(entry.layer)]);
  }
  std::stable_sort(result.entries.begin(), result.entries.end(), [](const auto& a, const auto& b) {
    return a.correct != b.correct ? a.correct > b.correct : a.squared_error < b.squared_error;
  });
  return result;
}

std::string sensitivity_json(const Sensitivity& sensitivity, int bits, int rest_bits) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const auto& e : sensitivity.entries) {
    nlohmann::ordered_json layer{{"layer", e.name}, {"ordinal", e.layer}};
    if (e.squared_error) {
      layer["squared_error"] = *e.squared_error;
      layer["n"] = e.n;
    } else if (e.n > 0) {
      layer["correct"] = e.correct;
      layer["n"] = e.n;
      layer["accuracy"] = static_cast<double>(e.correct) / static_cast<double>(e.n);
    }
    layers.push_back(std::move(layer));
  }
  const nlohmann::ordered_json all{{"bits", bits}, {"rest_bits", rest_bits}, {"search_order", std::move(layers)}};
  return all.dump(2) + "\n";
}

}  // namespace qnudge
