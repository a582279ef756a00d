// SPDX-License-Identifier: MIT
#include "roofline.hpp"

#include <algorithm>

#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

constexpr std::int64_t up_to(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

/// A convolution as a product: [pixels, filters] += over taps, channels of a tap.
struct Product {
  std::int64_t pixels, filters, taps, channels;
};

Product product_of(const ConvTask& task) {
  const bool wide = task.role == ConvRole::wide;
  return {task.images * task.out.h * task.out.w * (task.role == ConvRole::shared ? task.candidates : 1),
          task.filter.k * (wide ? task.candidates : 1), task.filter.r * task.filter.s, task.filter.c};
}

}  // namespace

std::optional<Card> card_of(const std::string& device) {
  for (const Card& card : kCards) {
    if (device.starts_with(card.name) || device.starts_with(std::string("NVIDIA ") + card.name)) return card;
  }
  return std::nullopt;
}

std::optional<Tile> hopper_tile(std::int64_t configuration) {
  struct Entry {
    std::int64_t value;
    Tile tile;
  };
  static constexpr std::array<Entry, 17> kTiles = {{{17, {128, 64, 128, 1, 2}},
                                                    {18, {128, 64, 128, 2, 1}},
                                                    {19, {128, 64, 128, 1, 4}},
                                                    {20, {256, 64, 128, 1, 2}},
                                                    {21, {256, 64, 128, 2, 1}},
                                                    {22, {256, 64, 128, 1, 4}},
                                                    {23, {128, 128, 128, 1, 2}},
                                                    {24, {128, 128, 128, 2, 1}},
                                                    {25, {128, 128, 128, 2, 2}},
                                                    {26, {64, 256, 128, 1, 2}},
                                                    {27, {64, 256, 128, 2, 1}},
                                                    {28, {64, 256, 128, 4, 1}},
                                                    {29, {64, 256, 128, 1, 4}},
                                                    {45, {256, 64, 128, 1, 1}},
                                                    {46, {128, 128, 128, 1, 1}},
                                                    {47, {256, 64, 64, 2, 1}},
                                                    {48, {256, 64, 64, 1, 1}}}};
  const auto* const found =
      std::find_if(kTiles.begin(), kTiles.end(), [&](const Entry& e) { return e.value == configuration; });
  return found == kTiles.end() ? std::nullopt : std::optional(found->tile);
}

bool is_aligned(const ConvTask& task) {
  return task.filter.c % 16 == 0 && task.filter.k % 16 == 0 && task.geometry.groups == 1;
}

double moved_bytes(const ConvTask& task) {
  const Product p = product_of(task);
  const auto candidates = static_cast<double>(task.role == ConvRole::shared ? task.candidates : 1);
  const double outputs = static_cast<double>(output_elements(task));
  return static_cast<double>(task.images * task.in.size()) * candidates +
         static_cast<double>(p.filters * p.taps * p.channels) +
         outputs * static_cast<double>(output_bytes(task) + (task.epilogue.addition ? 1 : 0));
}

double operations_of(const ConvTask& task) {
  return 2.0 * static_cast<double>(output_elements(task)) * static_cast<double>(task.filter.taps());
}

double useful_share(const ConvTask& task, const Tile& tile, const Card& card) {
  const Product p = product_of(task);
  const std::int64_t rows = up_to(p.pixels, tile.pixels * tile.cluster_pixels) / tile.pixels;
  const std::int64_t columns = up_to(p.filters, tile.filters * tile.cluster_filters) / tile.filters;
  const std::int64_t blocks = up_to(rows * columns, card.multiprocessors);
  const double done = static_cast<double>(blocks * tile.pixels * tile.filters) *
                      static_cast<double>(p.taps * up_to(p.channels, tile.depth));
  return static_cast<double>(p.pixels * p.filters) * static_cast<double>(p.taps * p.channels) / done;
}

Prediction predict(const ConvTask& task, const Tile& tile, const Card& card) {
  const double memory = moved_bytes(task) / card.copy_bytes, compute = operations_of(task) / card.operations;
  return {memory, compute, std::max(memory, compute / (kReached * useful_share(task, tile, card)))};
}

std::int64_t best_configuration(const ConvTask& task, const Card& card) {
  std::int64_t best = kDefaultConfiguration;
  double least = predict(task, *hopper_tile(best), card).seconds;
  for (std::int64_t value = 0; value <= 48; ++value) {
    const std::optional<Tile> tile = hopper_tile(value);
    if (!tile) continue;
    const double seconds = predict(task, *tile, card).seconds;
    if (seconds >= least) continue;
    least = seconds;
    best = value;
  }
  return best;
}

}  // namespace qnudge::cuda
