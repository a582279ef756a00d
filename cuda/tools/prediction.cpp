// SPDX-License-Identifier: MIT
#include "prediction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace qnudge::cuda {
namespace {

/// What sm_90 is expected to give to the instructions of sm_80, which the general engine uses: a guess.
constexpr double kGeneralOperations = 800e12;
/// Channels of a tap that one instruction of the general engine takes.
constexpr std::int64_t kGeneralDepth = 16;

constexpr std::int64_t kImages = 1000, kCandidates = 32, kRows = 2048;

const ModelShapes& model_named(const std::vector<ModelShapes>& models, const std::string& name) {
  return *std::find_if(models.begin(), models.end(), [&](const ModelShapes& m) { return m.name == name; });
}

/// A shortcut's projection stands behind the two layers of its block in the list and beside them in the network.
bool depends_on(const ModelShapes& model, std::size_t later, std::size_t searched) {
  const LayerShape& layer = model.layers[later];
  const bool projection = layer.filter.r == 1 && layer.filter.s == 1 && layer.in.h > 1;
  return !projection || searched + 2 < later;
}

ConvTask task_of(const LayerShape& layer, ConvRole role, std::int64_t images, std::int64_t candidates) {
  for (ConvTask task : tasks_of(layer, candidates)) {
    if (task.role != role) continue;
    task.images = images;
    return task;
  }
  return {};
}

const char* role_name(const ConvTask& task) {
  if (task.role == ConvRole::single) return "single";
  if (task.role == ConvRole::wide) return "wide";
  return task.epilogue.addition ? "shared, addition" : "shared";
}

std::string microseconds(double seconds) {
  return fmt::format("{:.0f}", 1e6 * seconds);
}

std::string generation_table(const std::vector<ModelShapes>& models) {
  std::string text =
      "| network, card | 10^9 multiply-adds per row | compute floor | memory floor | expected, configuration 23 | "
      "expected, best |\n|---|---|---|---|---|---|\n";
  for (const char* name : {"ResNet18, 32x32", "ResNet18, 224x224", "VGG16, 32x32"}) {
    for (const Card& card : kCards) {
      const GenerationPrediction g = predict_generation(model_named(models, name), kImages, kCandidates, card);
      text += fmt::format("| {}, {} | {:.3f} | {:.1f} ms | {:.1f} ms | {:.1f} ms | {:.1f} ms |\n", name, card.name,
                          1e-9 * g.multiply_adds, 1e3 * g.compute_seconds, 1e3 * g.memory_seconds,
                          1e3 * g.default_seconds, 1e3 * g.best_seconds);
    }
  }
  return text;
}

std::string layer_table(const std::vector<ModelShapes>& models) {
  std::string text =
      "| layer | role | C, K, pixels | MB | memory H100 | memory H200 | compute | H100: 23, best | H200: 23, best |\n"
      "|---|---|---|---|---|---|---|---|---|\n";
  for (const auto& [layer, task] : distinct_tasks(model_named(models, "ResNet18, 32x32"), kCandidates, kRows)) {
    text += fmt::format("| {} | {} | {}, {}, {} | {:.0f} |", layer, role_name(task), task.filter.c, task.filter.k,
                        task.out.h * task.out.w, 1e-6 * moved_bytes(task));
    for (const Card& card : kCards) text += fmt::format(" {} |", microseconds(moved_bytes(task) / card.copy_bytes));
    text += fmt::format(" {} |", microseconds(operations_of(task) / kCards.front().operations));
    for (const Card& card : kCards) {
      const std::int64_t best = best_configuration(task, card);
      text += fmt::format(" {}", microseconds(expected_seconds(task, kDefaultConfiguration, card)));
      if (best != kDefaultConfiguration && is_aligned(task)) {
        text += fmt::format(", {} ({})", microseconds(expected_seconds(task, best, card)), best);
      }
      text += " |";
    }
    text += "\n";
  }
  return text;
}

}  // namespace

double expected_seconds(const ConvTask& task, std::int64_t configuration, const Card& card) {
  const std::optional<Tile> tile = hopper_tile(configuration);
  if (is_aligned(task) && tile) return predict(task, *tile, card).seconds;
  const std::int64_t channels = (task.filter.c + kGeneralDepth - 1) / kGeneralDepth * kGeneralDepth;
  const double done = operations_of(task) * static_cast<double>(channels) / static_cast<double>(task.filter.c);
  return std::max(moved_bytes(task) / card.copy_bytes, done / (kReached * kGeneralOperations));
}

GenerationPrediction predict_generation(const ModelShapes& model, std::int64_t images, std::int64_t candidates,
                                        const Card& card) {
  GenerationPrediction sum;
  const auto add = [&](const ConvTask& task) {
    sum.multiply_adds += operations_of(task) / 2;
    sum.compute_seconds += operations_of(task) / card.operations;
    sum.memory_seconds += moved_bytes(task) / card.copy_bytes;
    sum.default_seconds += expected_seconds(task, kDefaultConfiguration, card);
    sum.best_seconds += expected_seconds(task, best_configuration(task, card), card);
  };
  for (std::size_t searched = 0; searched < model.layers.size(); ++searched) {
    add(task_of(model.layers[searched], ConvRole::wide, images, candidates));
    for (std::size_t later = searched + 1; later < model.layers.size(); ++later) {
      if (depends_on(model, later, searched)) add(task_of(model.layers[later], ConvRole::shared, images, candidates));
    }
  }
  const auto layers = static_cast<double>(model.layers.size());
  sum.multiply_adds /= layers * static_cast<double>(images * candidates);
  for (double GenerationPrediction::*seconds :
       {&GenerationPrediction::compute_seconds, &GenerationPrediction::memory_seconds,
        &GenerationPrediction::default_seconds, &GenerationPrediction::best_seconds}) {
    sum.*seconds /= layers;
  }
  return sum;
}

std::vector<NamedTask> distinct_tasks(const ModelShapes& model, std::int64_t candidates, std::int64_t rows) {
  std::vector<NamedTask> distinct;
  std::set<std::string> seen;
  for (const ConvRole role : {ConvRole::shared, ConvRole::wide}) {
    for (const LayerShape& layer : model.layers) {
      for (const ConvTask& task : tasks_of(layer, candidates, rows)) {
        if (task.role == role && seen.insert(task_text(task)).second) distinct.push_back({layer.name, task});
      }
    }
  }
  return distinct;
}

std::string prediction_tables() {
  const std::vector<ModelShapes> models = published_models();
  return generation_table(models) + "\n" + layer_table(models);
}

}  // namespace qnudge::cuda
