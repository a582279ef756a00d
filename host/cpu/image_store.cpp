// SPDX-License-Identifier: MIT
#include "image_store.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "qnudge/core/error.hpp"

namespace qnudge {

HostImages::HostImages(const IntNetwork& network, const ImageSet& set, std::int64_t tile)
    : count_(set.count),
      tile_(tile),
      image_bytes_(network.nodes.front().shape.size() * network.element_bytes(0)),
      outputs_(network.output_size()),
      labels_(set.labels),
      originals_(set.originals),
      steps_per_unit_(error_steps_per_unit(network.nodes.front().exponent)) {
  check_image_set(network, set);
  inputs_ = AlignedBuffer(static_cast<std::size_t>(tiles() * tile_ * image_bytes_));
  const void* from = network.half() ? static_cast<const void*>(set.halves.data()) : set.codes.data();
  std::memcpy(inputs_.data(), from, static_cast<std::size_t>(count_ * image_bytes_));
  std::memset(inputs_.data() + count_ * image_bytes_, 0,
              inputs_.size() - static_cast<std::size_t>(count_ * image_bytes_));
  if (set.reference_logits.empty()) return;
  probability_.resize(set.reference_logits.size());
  negative_entropy_.resize(static_cast<std::size_t>(count_));
  for (std::int64_t i = 0; i < count_; ++i) {
    negative_entropy_[static_cast<std::size_t>(i)] =
        prepare_kl(set.reference_logits.data() + i * outputs_, outputs_, probability_.data() + i * outputs_);
  }
}

void HostImages::check(FitnessKind fitness) const {
  require(fitness != FitnessKind::kl || has_reference(), ErrorKind::internal,
          "fitness 'kl' needs the float model's logits for the fitness images");
  require((fitness == FitnessKind::reconstruction) == reconstructs(), ErrorKind::internal,
          "fitness 'reconstruction' and sets with originals belong together");
}

std::int32_t HostImages::evaluate(std::int64_t i, const float* logits, Evaluation& into) const {
  const std::int32_t label = labels_[static_cast<std::size_t>(i)];
  const std::int32_t predicted = argmax(logits, outputs_);
  into.correct += predicted == label ? 1 : 0;
  into.cross_entropy += cross_entropy_q16(logits, outputs_, label);
  if (has_reference()) {
    into.kl +=
        kl_q16(logits, outputs_, probability_.data() + i * outputs_, negative_entropy_[static_cast<std::size_t>(i)]);
  }
  return predicted;
}

const float* image_logits(const IntNetwork& network, const std::byte* tile_output, std::int64_t image,
                          std::vector<float>& buffer) {
  const std::int64_t size = network.output_size();
  if (network.float_output()) return reinterpret_cast<const float*>(tile_output) + image * size;
  const float scale = std::ldexp(1.0f, network.at(network.output).exponent);
  buffer.resize(static_cast<std::size_t>(size));
  if (network.half()) {
    const auto* halves = reinterpret_cast<const Half*>(tile_output) + image * size;
    std::transform(halves, halves + size, buffer.begin(), [&](Half h) { return to_float(h) * scale; });
  } else {
    const auto* codes = reinterpret_cast<const std::int8_t*>(tile_output) + image * size;
    std::transform(codes, codes + size, buffer.begin(), [&](std::int8_t c) { return static_cast<float>(c) * scale; });
  }
  return buffer.data();
}

}  // namespace qnudge
