// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/core/half.hpp"
#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/reconstruction.hpp"
#include "qnudge/kernels/team.hpp"

namespace qnudge {

enum class FitnessKind { top1, cross_entropy, kl, top1_then_cross_entropy, reconstruction };

/// Fitness is one int64 per candidate, higher is better, a sum over images (so any order gives the same bits):
///   top1                      number of correct predictions, ties to the lower class
///   cross_entropy, kl         minus the loss in Q16 nats
///   top1_then_cross_entropy   correct * 2^43 - cross entropy: lexicographic for up to 2^19 images
///   reconstruction            minus the squared distance from the sample (kernels/reconstruction.hpp)
/// A loss is capped at 2^24 - 1 (256 nats) per image.
constexpr std::int64_t kLossCap = (1 << 24) - 1;
constexpr std::int64_t kCorrectWeight = std::int64_t{1} << 43;
constexpr std::int64_t kMaxImages = std::int64_t{1} << 19;

/// `Logits` in this header is anything that gives a float for an index: a pointer, or a row that converts codes. `Team`
/// is who works on one row (team.hpp): every member has the classes rank, rank + size, ...; all is integer from the
/// logits on, so that any team gives the same bits.

/// Integers in the order of floats: -0 is 0, NaN is below all numbers.
QNUDGE_HOST_DEVICE std::int32_t ordered(float v) {
  if (v != v) return INT32_MIN;
  const auto bits = static_cast<std::int32_t>(bits_of(v + 0.0f));
  return bits < 0 ? bits ^ INT32_MAX : bits;
}

/// Class with the largest logit; ties go to the lower class, NaN loses to any number (all NaN: class 0).
template <class Logits, class Team = SerialTeam>
QNUDGE_HOST_DEVICE std::int32_t argmax(const Logits& logits, std::int64_t classes, const Team& team = {}) {
  constexpr std::int64_t kLast = 0xffffffff;  // the lower word counts down, for ties
  std::int64_t best = INT64_MIN;
  for (std::int64_t k = team.rank(); k < classes; k += team.size()) {
    const std::int64_t entry = std::int64_t{ordered(logits[k])} * (kLast + 1) + (kLast - k);
    best = entry > best ? entry : best;
  }
  return static_cast<std::int32_t>(kLast - (team.largest(best) & kLast));
}

QNUDGE_HOST_DEVICE std::int64_t capped(std::int64_t loss) {
  return loss < 0 ? 0 : (loss > kLossCap ? kLossCap : loss);
}

/// ln sum exp of float logits, Q16; error below 2 / 65536 for logits within the limit.
template <class Logits, class Team = SerialTeam>
QNUDGE_HOST_DEVICE std::int64_t log_sum_exp_q16(const Logits& logits, std::int64_t classes, const Team& team = {}) {
  std::int64_t largest = -kLogitLimitQ16;
  for (std::int64_t k = team.rank(); k < classes; k += team.size()) {
    const std::int64_t z = logit_to_q16(logits[k]);
    largest = z > largest ? z : largest;
  }
  largest = team.largest(largest);
  std::int64_t sum = 0;
  for (std::int64_t k = team.rank(); k < classes; k += team.size()) sum += exp_q30(logit_to_q16(logits[k]) - largest);
  return largest + log_q16(static_cast<std::uint64_t>(team.sum(sum)));
}

/// -ln softmax(logits)[label], Q16, in [0, kLossCap]; error below 3 / 65536 before the cap.
template <class Logits, class Team = SerialTeam>
QNUDGE_HOST_DEVICE std::int64_t cross_entropy_q16(const Logits& logits, std::int64_t classes, std::int32_t label,
                                                  const Team& team = {}) {
  return capped(log_sum_exp_q16(logits, classes, team) - logit_to_q16(logits[label]));
}

/// KL(p || softmax(logits)), Q16, in [0, kLossCap]. `probability` is p in Q30 [classes]; `negative_entropy` is
/// sum p ln p in Q16 (<= 0), see `prepare_kl`. Error below (4 + 2 D) / 65536 before the cap, where D is the largest
/// -ln softmax of any class in nats: p carries the rounding of its logits. KL(p || p) is below 4 / 65536.
template <class Logits, class Team = SerialTeam>
QNUDGE_HOST_DEVICE std::int64_t kl_q16(const Logits& logits, std::int64_t classes, const std::int32_t* probability,
                                       std::int64_t negative_entropy, const Team& team = {}) {
  const std::int64_t lse = log_sum_exp_q16(logits, classes, team);
  std::int64_t cross = 0;  // Q46; the probabilities sum to about 2^30 and lse - z is below 2^31 + 2^21: fits
  for (std::int64_t k = team.rank(); k < classes; k += team.size()) {
    cross += probability[k] * (lse - logit_to_q16(logits[k]));
  }
  return capped((team.sum(cross) >> 30) + negative_entropy);
}

/// Probabilities (Q30) of the reference's Q16 logits; returns sum p ln p (Q16).
QNUDGE_HOST_DEVICE std::int64_t prepare_kl(const std::int32_t* logits, std::int64_t classes,
                                           std::int32_t* probability) {
  const std::int64_t lse = log_sum_exp_q16(logits, classes);
  std::int64_t negative_entropy = 0;
  for (std::int64_t k = 0; k < classes; ++k) {
    const std::int64_t log_p = logits[k] - lse;
    probability[k] = static_cast<std::int32_t>(exp_q30(log_p > 0 ? 0 : log_p));
    negative_entropy += probability[k] * log_p;
  }
  return negative_entropy >> 30;
}

/// Fitness of one image.
struct ScoreRule {
  FitnessKind kind = FitnessKind::top1;
  std::int64_t classes = 0;
  float steps_per_unit = 1;  ///< reconstruction only

  /// `original` [classes]: reconstruction only.
  template <class Logits, class Team = SerialTeam>
  QNUDGE_HOST_DEVICE std::int64_t operator()(const Logits& logits, std::int32_t label, const std::int32_t* probability,
                                             std::int64_t negative_entropy, const std::int16_t* original = nullptr,
                                             const Team& team = {}) const {
    switch (kind) {
      case FitnessKind::top1:
        return argmax(logits, classes, team) == label ? 1 : 0;
      case FitnessKind::cross_entropy:
        return -cross_entropy_q16(logits, classes, label, team);
      case FitnessKind::kl:
        return -kl_q16(logits, classes, probability, negative_entropy, team);
      case FitnessKind::top1_then_cross_entropy:
        return (argmax(logits, classes, team) == label ? kCorrectWeight : 0) -
               cross_entropy_q16(logits, classes, label, team);
      case FitnessKind::reconstruction:
        return -reconstruction_error(logits, classes, original, steps_per_unit, team);
    }
    return 0;
  }
};

}  // namespace qnudge
