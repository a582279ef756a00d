// SPDX-License-Identifier: MIT
#include "device_images.hpp"

#include <algorithm>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

std::vector<ImageChunk> image_chunks(std::int64_t count, std::int64_t size) {
  std::vector<ImageChunk> chunks;
  for (std::int64_t at = 0; at < count; at += size) {
    const std::int64_t first = std::min(at, count - size);
    chunks.push_back({first, at - first});
  }
  return chunks;
}

DeviceImages::DeviceImages(Device& device, const IntNetwork& network, const ImageSet& set)
    : count_(set.count),
      image_bytes_(network.nodes.front().shape.size() * network.element_bytes(0)),
      outputs_(network.output_size()) {
  check_image_set(network, set);
  const auto inputs = network.half() ? std::as_bytes(std::span(set.halves)) : std::as_bytes(std::span(set.codes));
  inputs_ = {device, inputs, "the images"};
  labels_ = {device, std::span(set.labels), "the labels"};
  originals_ = {device, std::span(set.originals), "the samples that outputs are compared with"};
  if (set.reference_logits.empty()) return;
  std::vector<std::int32_t> probability(set.reference_logits.size());
  std::vector<std::int64_t> negative_entropy(static_cast<std::size_t>(count_));
  for (std::int64_t i = 0; i < count_; ++i) {
    negative_entropy[static_cast<std::size_t>(i)] =
        prepare_kl(set.reference_logits.data() + i * outputs_, outputs_, probability.data() + i * outputs_);
  }
  probability_ = {device, std::span<const std::int32_t>(probability), "the float model's probabilities"};
  negative_entropy_ = {device, std::span<const std::int64_t>(negative_entropy), "the float model's entropies"};
}

ScoringData DeviceImages::scoring(std::int64_t first) const {
  return {labels_.data() + first, has_reference() ? probability_.data() + first * outputs_ : nullptr,
          has_reference() ? negative_entropy_.data() + first : nullptr,
          reconstructs() ? originals_.data() + first * outputs_ : nullptr};
}

void DeviceImages::check(FitnessKind fitness) const {
  require(fitness != FitnessKind::kl || has_reference(), ErrorKind::internal,
          "fitness 'kl' needs the float model's logits for the fitness images");
  require((fitness == FitnessKind::reconstruction) == reconstructs(), ErrorKind::internal,
          "fitness 'reconstruction' and sets with originals belong together");
}

}  // namespace qnudge::cuda
