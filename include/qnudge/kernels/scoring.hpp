// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/half.hpp"
#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/chunk_cursor.hpp"
#include "qnudge/kernels/score.hpp"

namespace qnudge {

/// Logits of one image and candidate, from fp32, codes or halves; read one at a time, so that the rules of score.hpp
/// work on either.
struct LogitRow {
  const float* values;           ///< or nullptr
  const std::int8_t* codes;      ///< or nullptr
  const Half* halves;            ///< or nullptr
  float scale;                   ///< of codes and halves, 2^exponent
  std::int64_t channels, pitch;  ///< class k is channel k % channels of pixel k / channels; pixels are `pitch` apart

  QNUDGE_HOST_DEVICE float operator[](std::int64_t k) const {
    const std::int64_t at = k < channels ? k : k / channels * pitch + k % channels;
    if (values != nullptr) return values[at];
    return (codes != nullptr ? static_cast<float>(codes[at]) : to_float(halves[at])) * scale;
  }
};

/// Network outputs of a chunk, [N, pixels, P, channels]; most networks have one pixel.
struct LogitRows {
  const float* values;       ///< or nullptr
  const std::int8_t* codes;  ///< or nullptr
  const Half* halves;        ///< or nullptr
  float scale;               ///< of codes and halves
  std::int64_t pixels, candidates, channels;

  QNUDGE_HOST_DEVICE std::int64_t classes() const { return pixels * channels; }
  QNUDGE_HOST_DEVICE LogitRow row(std::int64_t n, std::int64_t p) const {
    const std::int64_t at = (n * pixels * candidates + p) * channels;
    return {values != nullptr ? values + at : nullptr,
            codes != nullptr ? codes + at : nullptr,
            halves != nullptr ? halves + at : nullptr,
            scale,
            channels,
            candidates * channels};
  }
};

/// What scoring needs of each image.
struct ScoringData {
  const std::int32_t* labels;            ///< [N]
  const std::int32_t* probability;       ///< [N, classes] Q30, or nullptr: no `kl`
  const std::int64_t* negative_entropy;  ///< [N] Q16, or nullptr
  const std::int16_t* originals;         ///< [N, classes] on the error grid, or nullptr: no `reconstruction`

  QNUDGE_HOST_DEVICE const std::int32_t* row(std::int64_t n, std::int64_t classes) const {
    return probability != nullptr ? probability + n * classes : nullptr;
  }
  QNUDGE_HOST_DEVICE std::int64_t entropy(std::int64_t n) const {
    return negative_entropy != nullptr ? negative_entropy[n] : 0;
  }
  QNUDGE_HOST_DEVICE const std::int16_t* original(std::int64_t n, std::int64_t classes) const {
    return originals != nullptr ? originals + n * classes : nullptr;
  }
};

/// Fitness of candidate p on image n of a chunk, by a team, 0 for an image that another chunk has; the sum over images
/// is left to the caller, who adds integers.
struct ScoreCandidates {
  LogitRows logits;  ///< of the chunk
  ScoringData data;  ///< of the set
  ScoreRule rule;
  ChunkCursor cursor;
  std::int64_t candidates;  ///< scored, at most those of the logits
  std::int64_t* fitness;    ///< [candidates], added to

  template <class Team>
  QNUDGE_HOST_DEVICE std::int64_t score(const Team& team, std::int64_t n, std::int64_t p) const {
    if (n < cursor.skip()) return 0;
    const std::int64_t image = cursor.first() + n;
    return rule(logits.row(n, p), data.labels[image], data.row(image, rule.classes), data.entropy(image),
                data.original(image, rule.classes), team);
  }
};

/// One image of a whole evaluation, by a team: as a class, or where there are originals as their reconstruction.
struct EvaluateImages {
  LogitRows logits;
  ScoringData data;
  float steps_per_unit;         ///< of the originals' grid
  std::int64_t* error;          ///< [N]; written where there are originals, else the other three are
  std::int32_t* predicted;      ///< [N]
  std::int64_t* cross_entropy;  ///< [N] Q16
  std::int64_t* kl;             ///< [N] Q16; 0 without reference logits

  template <class Team>
  QNUDGE_HOST_DEVICE void operator()(const Team& team, std::int64_t n) const {
    const LogitRow row = logits.row(n, 0);
    const std::int64_t classes = logits.classes();
    if (data.originals != nullptr) {
      const std::int64_t own = reconstruction_error(row, classes, data.original(n, classes), steps_per_unit, team);
      if (team.rank() == 0) error[n] = own;
      return;
    }
    const std::int32_t best = argmax(row, classes, team);
    const std::int64_t loss = cross_entropy_q16(row, classes, data.labels[n], team);
    const bool compared = data.probability != nullptr;
    const std::int64_t divergence =
        compared ? kl_q16(row, classes, data.row(n, classes), data.entropy(n), team) : std::int64_t{0};
    if (team.rank() != 0) return;
    predicted[n] = best;
    cross_entropy[n] = loss;
    kl[n] = divergence;
  }
};

}  // namespace qnudge
