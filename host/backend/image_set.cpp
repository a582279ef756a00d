// SPDX-License-Identifier: MIT
#include <algorithm>

#include "qnudge/backend/backend.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {

void check_image_set(const IntNetwork& network, const ImageSet& set) {
  const std::int64_t outputs = network.output_size();
  require(set.count > 0 && set.count <= kMaxImages, ErrorKind::usage,
          "an image set has {} images; 1 to {} are possible", set.count, kMaxImages);
  const auto values = static_cast<std::size_t>(set.count * network.nodes.front().shape.size());
  require(set.codes.size() == (network.half() ? 0 : values) && set.halves.size() == (network.half() ? values : 0) &&
              set.labels.size() == static_cast<std::size_t>(set.count),
          ErrorKind::internal, "image set of {} images has {} codes, {} halves and {} labels", set.count,
          set.codes.size(), set.halves.size(), set.labels.size());
  if (!set.originals.empty()) {
    const IntNode& output = network.at(network.output);
    require(set.originals.size() == values && set.reference_logits.empty(), ErrorKind::internal,
            "image set of {} images has {} values, {} original values and {} reference logits", set.count, values,
            set.originals.size(), set.reference_logits.size());
    require(output.shape == network.nodes.front().shape, ErrorKind::input,
            "output '{}' is {}x{}x{} (height, width, channels); a network that gives its input back needs {}x{}x{}",
            network.output_name, output.shape.h, output.shape.w, output.shape.c, network.nodes.front().shape.h,
            network.nodes.front().shape.w, network.nodes.front().shape.c);
    return;  // labels mark samples, and no output stands for them
  }
  const auto bad = std::find_if(set.labels.begin(), set.labels.end(), [&](auto l) { return l < 0 || l >= outputs; });
  require(bad == set.labels.end(), ErrorKind::input, "label {} does not fit a network with {} outputs",
          bad == set.labels.end() ? 0 : *bad, outputs);
  require(set.reference_logits.empty() || set.reference_logits.size() == static_cast<std::size_t>(set.count * outputs),
          ErrorKind::internal, "image set of {} images has {} reference logits, {} needed", set.count,
          set.reference_logits.size(), set.count * outputs);
}

}  // namespace qnudge
