// SPDX-License-Identifier: MIT
#include "qnudge/report/format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace qnudge {

std::string percent_text(double fraction) {
  return std::isfinite(fraction) ? fmt::format("{:.2f} %", 100 * fraction) : std::string("-");
}

std::string points_text(double fraction) {
  const double points = 100 * fraction;
  return fmt::format("{:+.2f}", std::abs(points) < 0.005 ? 0.0 : points);
}

std::string count_text(std::int64_t value) {
  const std::string digits = fmt::format("{}", value);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool group_starts = i > 0 && digits[i - 1] != '-' && (digits.size() - i) % 3 == 0;
    if (group_starts) text += ',';
    text += digits[i];
  }
  return text;
}

std::string rate_text(double per_second) {
  constexpr std::array<const char*, 5> kUnits = {"", " k", " M", " G", " T"};
  if (!std::isfinite(per_second) || per_second < 0) return "-";
  std::size_t unit = 0;
  while (per_second >= 999.5 && unit + 1 < kUnits.size()) {
    per_second /= 1000;
    ++unit;
  }
  const int decimals = per_second < 9.995 ? 2 : (per_second < 99.95 ? 1 : 0);
  return fmt::format("{:.{}f}{}", per_second, decimals, kUnits[unit]);
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array<const char*, 4> kUnits = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "-";
  seconds = std::max(seconds, 0.0);
  if (seconds < 59.95) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  const std::int64_t minutes = (whole + 30) / 60;
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string p_value_text(double probability) {
  return probability < 1e-6 ? std::string("p < 1e-6") : fmt::format("p = {:.2g}", probability);
}

std::string fitness_text(FitnessKind kind, std::int64_t fitness, std::int64_t images) {
  if (images <= 0) return "-";
  const auto n = static_cast<double>(images);
  switch (kind) {
    case FitnessKind::top1:
      return percent_text(static_cast<double>(fitness) / n);
    case FitnessKind::top1_then_cross_entropy:  // the loss is below one correct answer's weight: round up
      return percent_text(static_cast<double>((fitness + kCorrectWeight - 1) / kCorrectWeight) / n);
    case FitnessKind::reconstruction:
      return fmt::format("error {:.1f}", std::abs(static_cast<double>(fitness)) / n);
    case FitnessKind::cross_entropy:
    case FitnessKind::kl:
      break;
  }
  return fmt::format("{:.4f} nats", std::abs(static_cast<double>(fitness)) / static_cast<double>(kQ16One) / n);
}

}  // namespace qnudge
