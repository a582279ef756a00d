// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/divisor.hpp"
#include "qnudge/quant/gram.hpp"

namespace qnudge {

/// Descent of one output channel on its quadratic form, all in integers: error(q) = q' h q - 2 c' q with the gradient
/// G = h q - c kept beside the codes q. Sums are exact, so their order never shows.

constexpr int kStartSweeps = 8;      ///< at most; a sweep without a step ends the descent
constexpr int kOffspringSweeps = 2;  ///< finds nearly all of what more would, for a fraction of the time

constexpr int kStartFits = 4;  ///< with joint gain: descents of the start, the gain fitted after each
constexpr int kFitEvery = 5;   ///< with joint gain: generations between two fits

/// The gain of a channel, fitted along with its codes: error(q, g) = g^2 q' h q - 2 g c' q. The codes see g as c / g.
/// IEEE doubles, one rounding per operation: the same on every machine.

/// Gain that suits codes best, where linear = c' q and power = q' h q; `now` where the codes give a constant.
QNUDGE_HOST_DEVICE double fitted_gain(std::int64_t linear, std::int64_t power, double now) {
  if (power <= 0) return now;
  const double gain = static_cast<double>(linear) / static_cast<double>(power);
  return gain < kGainLow ? kGainLow : gain > kGainHigh ? kGainHigh : gain;
}

/// c / gain to the nearest integer, within +-most.
QNUDGE_HOST_DEVICE std::int64_t scaled_linear(std::int64_t c, double gain, std::int64_t most) {
  const double scaled = std::rint(static_cast<double>(c) / gain);
  const auto limit = static_cast<double>(most);
  return scaled > limit ? most : scaled < -limit ? -most : static_cast<std::int64_t>(scaled);
}

/// error(q, g) where `error` is error(q, 1) of the c that was divided by g.
QNUDGE_HOST_DEVICE std::int64_t gained_error(std::int64_t error, double gain) {
  constexpr double kMost = 2305843009213693952.0;  // 2^61
  const double value = std::rint(gain * gain * static_cast<double>(error));
  return static_cast<std::int64_t>(value > kMost ? kMost : value < -kMost ? -kMost : value);
}

/// d = nearest integer to -G_j / h_jj, halves towards 0, cut to the code range: the step that lowers the error most. A
/// step other than 0 lowers it strictly. Rows whose diagonal is 0 stay.
struct DescentRule {
  std::int32_t low = -128, high = 127;

  QNUDGE_HOST_DEVICE std::int32_t operator()(std::int32_t code, std::int64_t gradient, std::int64_t diagonal) const {
    const std::int64_t magnitude = gradient < 0 ? -gradient : gradient;
    if (2 * magnitude <= diagonal || diagonal <= 0) return 0;  // nearly always: spares the division
    const std::int64_t steps = (2 * magnitude + diagonal - 1) / (2 * diagonal);
    const std::int64_t down = code - low, up = high - code;
    if (gradient > 0) return static_cast<std::int32_t>(steps < down ? -steps : -down);
    return static_cast<std::int32_t>(steps < up ? steps : up);
  }
};

/// error(q + d e_j) - error(q).
QNUDGE_HOST_DEVICE std::int64_t error_change(std::int64_t d, std::int64_t gradient, std::int64_t diagonal) {
  return d * (2 * gradient + d * diagonal);
}

/// One step down or up, each with half the rate, one random word per weight; cut to the code range.
struct PerturbRule {
  std::uint32_t down = 0, either = 0;  ///< word < down: -1; else word < either: +1
  std::int32_t low = -128, high = 127;

  QNUDGE_HOST_DEVICE std::int32_t operator()(std::int32_t code, std::uint32_t word) const {
    if (word < down) return code > low ? -1 : 0;
    return word < either && code < high ? 1 : 0;
  }
};

inline PerturbRule perturb_rule(double rate, std::int32_t low, std::int32_t high) {
  const auto threshold = [](double t) { return t >= 4294967295.0 ? 4294967295u : static_cast<std::uint32_t>(t); };
  return {threshold(rate * 2147483648.0), threshold(rate * 4294967296.0), low, high};
}

/// Order in which a sweep visits `rows` rows that are numbered by falling diagonal: step i visits
/// (offset + i * stride) mod rows. The identity, or a drawn offset and a drawn stride without a common divisor.
struct RowOrder {
  Divisor rows;
  std::int64_t offset = 0, stride = 1;

  QNUDGE_HOST_DEVICE static RowOrder drawn(std::int64_t rows, std::uint32_t offset, std::uint32_t stride) {
    RowOrder order{Divisor(rows), static_cast<std::int64_t>(offset % rows),
                   1 + static_cast<std::int64_t>(stride % rows)};
    while (divisor(order.stride, rows) != 1) ++order.stride;  // ends at a stride of 1 modulo rows
    return order;
  }
  QNUDGE_HOST_DEVICE static std::int64_t divisor(std::int64_t a, std::int64_t b) {
    while (b != 0) {
      const std::int64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }
  QNUDGE_HOST_DEVICE std::int64_t operator()(std::int64_t i) const { return (offset + i * stride) % rows; }
};

/// Who descends from whom where a channel has `elites`, the fittest first, and a generation `offspring`. Half of the
/// offspring, by a drawn word, are crossed with another elite of their channel; if the two differ at all, they are not
/// perturbed.
struct Lineages {
  std::int32_t elites = 1, offspring = 1;

  QNUDGE_HOST_DEVICE std::int32_t elite_of(std::int32_t generation, std::int32_t j) const {
    return static_cast<std::int32_t>((std::int64_t{generation} * offspring + j) % elites);
  }
  /// The first offspring of an elite, which has every `elites`-th from there; may be beyond the last.
  QNUDGE_HOST_DEVICE std::int32_t first_of(std::int32_t generation, std::int32_t elite) const {
    return (elite + elites - elite_of(generation, 0)) % elites;
  }
  /// The elite to cross `own` with, `own` itself for none. Words of Purpose::mate.
  QNUDGE_HOST_DEVICE std::int32_t mate_of(std::int32_t own, std::uint32_t whether, std::uint32_t which) const {
    if (elites < 2 || whether >> 31 == 0) return own;
    const auto away = 1 + which % static_cast<std::uint32_t>(elites - 1);
    return static_cast<std::int32_t>((static_cast<std::uint32_t>(own) + away) % static_cast<std::uint32_t>(elites));
  }
  /// Whether a code is the mate's. Word of Purpose::crossover.
  QNUDGE_HOST_DEVICE static bool inherits(std::uint32_t word) { return word >> 31 != 0; }
};

/// Every second offspring visits its rows in a drawn order.
QNUDGE_HOST_DEVICE bool order_is_drawn(std::int32_t generation, std::int32_t offspring) {
  return ((generation + offspring) & 1) != 0;
}

}  // namespace qnudge
