// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "qnudge/cuda/conv_task.hpp"

/// What a convolution between codes can take at least, and what it is expected to take: by arithmetic, nothing measured
/// but the two bandwidths.
namespace qnudge::cuda {

struct Card {
  const char* name;
  double operations;  ///< int8, a second, dense: data sheet
  double copy_bytes;  ///< a second, read and written: measured with a copy on the device
  int multiprocessors;
};

inline constexpr std::array kCards = {Card{"H100", 1979e12, 3.0e12, 132}, Card{"H200", 1979e12, 4.3e12, 132}};

/// The card of that name, which may be the beginning of something longer after "NVIDIA "; nothing if none is.
std::optional<Card> card_of(const std::string& device);

/// Part of a large product's peak that implementations reach when tiles fit.
inline constexpr double kReached = 0.65;

/// How a kernel cuts a product: a block computes so many output pixels and filters, `depth` channels of a tap at once;
/// blocks go in clusters.
struct Tile {
  std::int64_t pixels, filters, depth;
  std::int64_t cluster_pixels = 1, cluster_filters = 1;
};

/// What value `configuration` of knob 24 means for cuDNN 9.19's aligned int8 engine on sm_90, from the names of its
/// kernels; nothing for values that it refuses.
std::optional<Tile> hopper_tile(std::int64_t configuration);

/// The one that its heuristics name for every shape.
inline constexpr std::int64_t kDefaultConfiguration = 23;

/// Channels are multiples of 16 on both sides: the engine that has tensor cores of sm_90.
bool is_aligned(const ConvTask& task);

/// x, w and y once, and the residual of a fused addition.
double moved_bytes(const ConvTask& task);
/// Two for each product and sum.
double operations_of(const ConvTask& task);

/// Part of the tensor cores' work that is wanted: the rest are filters and channels that fill up tiles, and blocks that
/// fill up the last wave.
double useful_share(const ConvTask& task, const Tile& tile, const Card& card);

struct Prediction {
  double memory_seconds;   ///< floor
  double compute_seconds;  ///< floor at the data sheet's rate
  double seconds;          ///< expected: memory, or what is useful of the tensor cores' reached rate
};
Prediction predict(const ConvTask& task, const Tile& tile, const Card& card);

/// The configuration that is expected to be fastest: the default one, or the lowest of those that are faster.
std::int64_t best_configuration(const ConvTask& task, const Card& card);

}  // namespace qnudge::cuda
