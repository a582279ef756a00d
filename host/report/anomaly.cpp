// SPDX-License-Identifier: MIT
#include "qnudge/report/anomaly.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

double ratio(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

/// a has a higher F1 than b, exactly. Counts are below 2^20, so the products fit.
bool higher_f1(const FlagCounts& a, const FlagCounts& b) {
  const auto whole = [](const FlagCounts& c) { return 2 * c.true_positives + c.false_positives + c.false_negatives; };
  return a.true_positives * whole(b) > b.true_positives * whole(a);
}

FlagCounts& operator+=(FlagCounts& sum, const FlagCounts& more) {
  sum.true_positives += more.true_positives;
  sum.false_positives += more.false_positives;
  sum.false_negatives += more.false_negatives;
  return sum;
}

void count(FlagCounts& counts, std::int32_t label, std::int32_t flag) {
  counts.true_positives += label == 1 && flag == 1;
  counts.false_positives += label == 0 && flag == 1;
  counts.false_negatives += label == 1 && flag == 0;
}

/// Both models on one block.
struct Block {
  FlagCounts first, second;
};

std::vector<Block> count_blocks(std::span<const std::int32_t> labels, std::span<const std::int32_t> first,
                                std::span<const std::int32_t> second, std::span<const std::int32_t> blocks) {
  std::vector<Block> counts;
  std::int32_t last = -1;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (blocks[i] != last) counts.emplace_back();
    last = blocks[i];
    count(counts.back().first, labels[i], first[i]);
    count(counts.back().second, labels[i], second[i]);
  }
  return counts;
}

/// F1 differences of all resamples, ascending.
std::vector<double> resampled(const std::vector<Block>& blocks, std::uint64_t seed) {
  std::vector<double> differences;
  for (int r = 0; r < kResamples; ++r) {
    const DrawAddress at{.candidate = static_cast<std::uint32_t>(r), .purpose = Purpose::resample_blocks};
    Block sum;
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::uint64_t word = draw_block(Random123Philox{}, seed, at, static_cast<std::uint32_t>(i / 4)).v[i % 4];
      const Block& drawn = blocks[static_cast<std::size_t>(word * blocks.size() >> 32)];
      sum.first += drawn.first;
      sum.second += drawn.second;
    }
    differences.push_back(sum.first.f1() - sum.second.f1());
  }
  std::sort(differences.begin(), differences.end());
  return differences;
}

}  // namespace

double FlagCounts::precision() const {
  return ratio(true_positives, true_positives + false_positives);
}

double FlagCounts::recall() const {
  return ratio(true_positives, true_positives + false_negatives);
}

double FlagCounts::f1() const {
  return ratio(2 * true_positives, 2 * true_positives + false_positives + false_negatives);
}

ChosenThreshold choose_threshold(std::span<const std::int64_t> errors, std::span<const std::int32_t> labels) {
  require(!errors.empty() && errors.size() == labels.size(), ErrorKind::internal,
          "threshold: {} errors and {} labels; both must be equally many, at least one", errors.size(), labels.size());
  std::vector<std::size_t> order(errors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return errors[a] > errors[b]; });
  FlagCounts counts;
  for (const std::int32_t label : labels) counts.false_negatives += label;
  ChosenThreshold best{errors[order.front()], {}};
  bool any = false;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const bool anomalous = labels[order[i]] == 1;
    counts.true_positives += anomalous;
    counts.false_positives += !anomalous;
    counts.false_negatives -= anomalous;
    const bool equal_errors_follow = i + 1 < order.size() && errors[order[i + 1]] == errors[order[i]];
    if (equal_errors_follow || (any && !higher_f1(counts, best.counts))) continue;
    best = {errors[order[i]], counts};
    any = true;
  }
  return best;
}

std::vector<std::int32_t> flags(std::span<const std::int64_t> errors, std::int64_t threshold) {
  std::vector<std::int32_t> flagged;
  for (const std::int64_t error : errors) flagged.push_back(error >= threshold ? 1 : 0);
  return flagged;
}

FlagCounts count_flags(std::span<const std::int32_t> labels, std::span<const std::int32_t> flagged) {
  require(labels.size() == flagged.size(), ErrorKind::internal, "F1: {} labels and {} flags", labels.size(),
          flagged.size());
  FlagCounts counts;
  for (std::size_t i = 0; i < labels.size(); ++i) count(counts, labels[i], flagged[i]);
  return counts;
}

PairedInterval paired_f1_interval(std::span<const std::int32_t> labels, std::span<const std::int32_t> first,
                                  std::span<const std::int32_t> second, std::span<const std::int32_t> blocks,
                                  std::uint64_t seed) {
  require(!labels.empty() && labels.size() == first.size() && labels.size() == second.size() &&
              labels.size() == blocks.size(),
          ErrorKind::internal, "paired F1: {} labels, {} and {} flags, {} blocks; all must be equally many",
          labels.size(), first.size(), second.size(), blocks.size());
  PairedInterval interval = paired_interval(labels, first, second);  // for the discordant steps
  interval.difference = count_flags(labels, first).f1() - count_flags(labels, second).f1();
  const std::vector<double> differences = resampled(count_blocks(labels, first, second, blocks), seed);

  constexpr std::size_t kTail = kResamples / 40;  // 2.5 %
  interval.low = differences[kTail - 1];
  interval.high = differences[kResamples - kTail];
  const double mean = std::accumulate(differences.begin(), differences.end(), 0.0) / kResamples;
  double squares = 0;
  for (const double d : differences) squares += (d - mean) * (d - mean);
  interval.standard_error = std::sqrt(squares / (kResamples - 1));
  const auto not_above = std::count_if(differences.begin(), differences.end(), [](double d) { return d <= 0; });
  const auto not_below = std::count_if(differences.begin(), differences.end(), [](double d) { return d >= 0; });
  interval.p_value =
      std::min(1.0, 2 * static_cast<double>(std::min(not_above, not_below) + 1) / static_cast<double>(kResamples + 1));
  return interval;
}

}  // namespace qnudge
