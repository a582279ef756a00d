// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// Sums over the observed rows of one layer, exact. x: input codes of a row, one per tap in KRSC order; t: target minus
/// shortcut, an integer at the target's exponent, at most kTargetLimit in magnitude. Channel k reads group k / (K /
/// groups).
struct GramSums {
  std::int64_t rows = 0, groups = 1, channels = 0, taps = 0;
  std::vector<std::int64_t> x;   ///< [groups, taps]
  std::vector<std::int64_t> xx;  ///< [groups, taps, taps]
  std::vector<std::int64_t> t;   ///< [channels]
  std::vector<std::int64_t> xt;  ///< [channels, taps]
};

/// A fit changes the gain of a channel at most by these factors.
constexpr double kGainLow = 0.25, kGainHigh = 4.0;

/// The squared error of each output channel against its target as a function of the channel's codes q, up to a
/// constant: error = q' h q - 2 c' q in units of 2^shift accumulator steps squared times rows squared. Means are taken
/// out, because the bias makes them agree; `damping` times the mean diagonal pulls codes towards the real weights. The
/// shift is chosen so that every error and every sum on the way stays within +-2^61 / channels.
struct GramForm {
  std::int64_t groups = 1, channels = 0, taps = 0;
  std::int32_t low = -128, high = 127;  ///< code range
  std::vector<std::int32_t> h;          ///< [groups, taps, taps], symmetric, positive semidefinite but for rounding
  std::vector<std::int64_t> c;          ///< [channels, taps]
  std::vector<std::int64_t> most;       ///< [groups, taps] bound of |c|, also of c over a gain: no code needs more
  std::vector<std::int32_t> order;      ///< [groups, taps] taps by falling diagonal, ties to the lower
  std::vector<std::uint8_t> frozen;     ///< [channels] 1: codes are not searched
  int shift = 0;
  std::vector<double> damping;  ///< [groups] what was added to the diagonal, in units of h

  std::int64_t group_of(std::int64_t channel) const { return channel / (channels / groups); }
  const std::int32_t* matrix(std::int64_t group) const { return h.data() + group * taps * taps; }
};

/// `params` decide what a code is worth (its multiplier) and which channels are frozen; targets are integers times
/// 2^target_exponent. Given equal sums the same on every machine. A layer with constant inputs has h = 0.
GramForm make_gram_form(const IntNetwork& network, const Layer& layer, const LayerParams& params, const GramSums& sums,
                        int target_exponent, double damping);

/// error of channel k at `codes` [taps] (of that channel).
std::int64_t gram_error(const GramForm& form, std::int64_t channel, const std::int8_t* codes);

/// Gain per channel by least squares, cut to [kGainLow, kGainHigh], into the multiplier, then the bias that makes the
/// means agree. Frozen channels stay; a channel whose codes give a constant keeps its gain.
void refit_gain_and_bias(const IntNetwork& network, const Layer& layer, const GramSums& sums, const GramForm& form,
                         int target_exponent, LayerParams& params);

/// Bytes of the sums and the form of a layer with this filter.
std::int64_t gram_bytes(const FilterShape& filter, std::int64_t groups);

}  // namespace qnudge
