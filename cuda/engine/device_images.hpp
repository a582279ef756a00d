// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/backend/backend.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/kernels/scoring.hpp"

namespace qnudge::cuda {

/// A run of images evaluated together. The last chunk of a set ends with it and begins early enough to be whole: its
/// first `skip` images have been seen before and must not count again.
struct ImageChunk {
  std::int64_t first = 0, skip = 0;
};

/// Chunks of exactly `size` images, 1 <= size <= count, that cover the set.
std::vector<ImageChunk> image_chunks(std::int64_t count, std::int64_t size);

/// An image set in device memory, with what scoring needs.
class DeviceImages : public ResidentImages {
 public:
  /// Throws Error for labels out of range and sizes that contradict each other.
  DeviceImages(Device& device, const IntNetwork& network, const ImageSet& set);

  std::int64_t count() const override { return count_; }
  /// Codes or halves of the images from `image` on.
  std::byte* inputs(std::int64_t image) const { return inputs_.data() + image * image_bytes_; }
  std::vector<std::int32_t> labels() const { return labels_.get(); }
  bool has_reference() const { return probability_.size() > 0; }
  bool reconstructs() const { return originals_.size() > 0; }
  /// Of the images from `first` on.
  ScoringData scoring(std::int64_t first) const;
  /// Throws Error(kind internal) if `fitness` needs what the set does not have.
  void check(FitnessKind fitness) const;

 private:
  std::int64_t count_, image_bytes_, outputs_;
  DeviceArray<std::byte> inputs_;               // [count, HWC]
  DeviceArray<std::int32_t> labels_;            // [count]
  DeviceArray<std::int32_t> probability_;       // [count, outputs] Q30
  DeviceArray<std::int64_t> negative_entropy_;  // [count] Q16
  DeviceArray<std::int16_t> originals_;         // [count, outputs]
};

}  // namespace qnudge::cuda
