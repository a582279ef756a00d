// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/model/geometry.hpp"

namespace qnudge {

/// One axis of a transposed convolution taken apart into ordinary ones. Output position q * phases + f reads the inputs
/// q + first .. q + first + taps - 1, so the outputs of one phase f are a convolution of stride 1 with a filter of
/// `taps` taps, some of them zero.
struct PhaseAxis {
  std::int64_t phases = 1;                         ///< how far the inputs are spread
  std::int64_t taps = 1;                           ///< the same for all phases: the union of what each needs
  std::int64_t first = 0;                          ///< offset of the first of them
  std::int64_t outputs = 0;                        ///< of one phase
  std::int64_t dilation = 1, pad = 0, filter = 1;  ///< of the transposed convolution

  /// Tap of the transposed filter that stands at `tap` of phase `f`; -1: zero.
  QNUDGE_HOST_DEVICE std::int64_t source(std::int64_t f, std::int64_t tap) const {
    const std::int64_t reach = phases * (tap + first) - f + pad;  // = r * dilation
    if (reach < 0 || reach % dilation != 0) return -1;
    const std::int64_t r = reach / dilation;
    return r < filter ? r : -1;
  }
};

/// Filters of all phases: to[phase, set, k, y, x, c] = from[set, k, r, s, c], or 0. phase = phase_h * phases_w +
/// phase_w.
template <class T>
struct PhaseFilter {
  const T* from;  ///< [sets, K, R, S, C]
  T* to;          ///< [phases, sets, K, taps_h, taps_w, C]
  PhaseAxis h, w;
  std::int64_t sets, k, c;

  QNUDGE_HOST_DEVICE std::int64_t size() const { return h.phases * w.phases * sets * k * h.taps * w.taps * c; }
  /// Of one phase, all sets.
  QNUDGE_HOST_DEVICE std::int64_t phase_size() const { return sets * k * h.taps * w.taps * c; }

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t channel = i % c, x = i / c % w.taps, y = i / (c * w.taps) % h.taps;
    const std::int64_t row = i / (c * w.taps * h.taps) % (sets * k);  // set * K + k
    const std::int64_t phase = i / phase_size();
    const std::int64_t r = h.source(phase / w.phases, y), s = w.source(phase % w.phases, x);
    to[i] = r < 0 || s < 0 ? T{} : from[((row * h.filter + r) * w.filter + s) * c + channel];
  }
};

}  // namespace qnudge
