// SPDX-License-Identifier: MIT
#include <algorithm>

#include "qnudge/core/stop.hpp"
#include "qnudge/search/setup.hpp"
#include "sample_reader.hpp"

namespace qnudge {

ImageSet make_image_set(const IntNetwork& network, const Dataset& dataset, const Indices& indices,
                        const Reference::Set* reference) {
  const auto size = static_cast<std::size_t>(dataset.shape().size());
  ImageSet set;
  set.count = static_cast<std::int64_t>(indices.size());
  if (network.half()) {
    set.halves.resize(indices.size() * size);
  } else {
    set.codes.resize(indices.size() * size);
  }
  std::vector<float> sample(size);
  const float steps = error_steps_per_unit(network.nodes.front().exponent);
  if (is_series(dataset)) set.originals.reserve(indices.size() * size);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    stop_point();
    dataset.read(indices[i], sample);
    if (network.half()) {
      quantise_input(network, sample, std::span(set.halves).subspan(i * size, size));
    } else {
      quantise_input(network, sample, std::span(set.codes).subspan(i * size, size));
    }
    set.labels.push_back(dataset.labels()[static_cast<std::size_t>(indices[i])]);
    if (!is_series(dataset)) continue;
    for (const float value : sample) set.originals.push_back(static_cast<std::int16_t>(on_error_grid(value, steps)));
  }
  if (reference != nullptr) set.reference_logits = reference->logits;
  return set;
}

std::vector<std::int64_t> float_errors(const IntNetwork& network, const Dataset& dataset, const Indices& indices,
                                       const FloatPass& float_pass) {
  constexpr std::int64_t kWindows = 4096;  // at a time: outputs as large as the inputs
  const std::int64_t outputs = network.output_size(), size = dataset.shape().size();
  const float steps = error_steps_per_unit(network.nodes.front().exponent);
  const SampleReader all = reader_of(dataset, indices);
  std::vector<std::int64_t> errors;
  std::vector<float> sample(static_cast<std::size_t>(size));
  std::vector<std::int16_t> original(sample.size());
  for (std::int64_t first = 0; first < static_cast<std::int64_t>(indices.size()); first += kWindows) {
    const std::int64_t count = std::min(kWindows, static_cast<std::int64_t>(indices.size()) - first);
    const std::vector<float> found =
        float_pass(count, [&](std::int64_t at, std::int64_t n, std::span<float> out) { all(first + at, n, out); }, {});
    for (std::int64_t i = 0; i < count; ++i) {
      stop_point();
      all(first + i, 1, sample);
      for (std::size_t k = 0; k < sample.size(); ++k) {
        original[k] = static_cast<std::int16_t>(on_error_grid(sample[k], steps));
      }
      errors.push_back(reconstruction_error(found.data() + i * outputs, outputs, original.data(), steps));
    }
  }
  return errors;
}

}  // namespace qnudge
