// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/core/aligned_buffer.hpp"

namespace qnudge {

/// An image set on the host: inputs padded to whole tiles, and what scoring needs.
class HostImages : public ResidentImages {
 public:
  HostImages(const IntNetwork& network, const ImageSet& set, std::int64_t tile);

  std::int64_t count() const override { return count_; }
  std::int64_t tiles() const { return (count_ + tile_ - 1) / tile_; }
  std::int64_t tile() const { return tile_; }
  std::int64_t images_in(std::int64_t tile) const { return std::min(tile_, count_ - tile * tile_); }
  /// Input codes or halves of one tile. They are only ever read; the programs' table of tensors does not distinguish.
  std::byte* tile_bytes(std::int64_t tile) const {
    return const_cast<std::byte*>(inputs_.data()) + tile * tile_ * image_bytes_;
  }
  bool has_reference() const { return !probability_.empty(); }
  bool reconstructs() const { return !originals_.empty(); }

  /// Fitness of image `i` from its logits; throws nothing: `check` has been called before.
  std::int64_t score(const ScoreRule& rule, std::int64_t i, const float* logits) const {
    return rule(logits, labels_[static_cast<std::size_t>(i)],
                has_reference() ? probability_.data() + i * outputs_ : nullptr,
                has_reference() ? negative_entropy_[static_cast<std::size_t>(i)] : 0,
                reconstructs() ? originals_.data() + i * outputs_ : nullptr);
  }
  /// Squared distance of image `i` from what the network made of it.
  std::int64_t error(std::int64_t i, const float* outputs) const {
    return reconstruction_error(outputs, outputs_, originals_.data() + i * outputs_, steps_per_unit_);
  }
  /// Throws Error(kind internal) if `fitness` needs what the set does not have.
  void check(FitnessKind fitness) const;
  /// Adds image `i` to the sums of `into` and returns its predicted class.
  std::int32_t evaluate(std::int64_t i, const float* logits, Evaluation& into) const;

 private:
  std::int64_t count_, tile_, image_bytes_, outputs_;
  AlignedBuffer inputs_;                        // [tiles * tile, HWC], the last tile padded with zeros
  std::vector<std::int32_t> labels_;            // [count]
  std::vector<std::int32_t> probability_;       // [count, outputs] Q30
  std::vector<std::int64_t> negative_entropy_;  // [count] Q16
  std::vector<std::int16_t> originals_;         // [count, outputs]
  float steps_per_unit_;
};

/// Logits of one image at `output` bytes of a tile: fp32 as they are, codes and halves times 2^exponent in `buffer`.
const float* image_logits(const IntNetwork& network, const std::byte* tile_output, std::int64_t image,
                          std::vector<float>& buffer);

}  // namespace qnudge
