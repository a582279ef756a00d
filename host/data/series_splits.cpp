// SPDX-License-Identifier: MIT
#include "series_splits.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"

namespace qnudge {
namespace {

constexpr double kBeforeGate = 0.75;  // of every training run

/// The windows of every run before and behind a border in time; none shares a row with one of the other side.
struct Parted {
  Indices before, behind;
};

Parted part(const Dataset& data, double share) {
  Parted parted;
  for (const Dataset::Run& run : data.runs()) {
    const auto border = static_cast<std::int64_t>(static_cast<double>(run.count) * share);
    for (std::int64_t i = 0; i < run.count; ++i) {
      if (i < border) parted.before.push_back(run.first + i);
      if (i >= border + data.overlap()) parted.behind.push_back(run.first + i);
    }
  }
  return parted;
}

enum class Draw : std::uint32_t { before_gate, gate, test };

/// The pool in drawn order: by (random word, index).
Indices drawn(const Indices& pool, std::uint64_t seed, Draw draw) {
  const DrawAddress at{.candidate = static_cast<std::uint32_t>(draw), .purpose = Purpose::sample_split};
  std::vector<std::pair<std::uint32_t, std::int64_t>> order;
  for (std::size_t i = 0; i < pool.size(); ++i) {
    order.emplace_back(draw_block(Random123Philox{}, seed, at, static_cast<std::uint32_t>(i / 4)).v[i % 4], pool[i]);
  }
  std::sort(order.begin(), order.end());
  Indices indices;
  for (const auto& [word, index] : order) indices.push_back(index);
  return indices;
}

Indices first(const Indices& pool, std::int64_t count, const char* key, const std::string& from) {
  require(count <= static_cast<std::int64_t>(pool.size()), ErrorKind::usage, "{} asks for {} windows; {} gives {}", key,
          count, from, pool.size());
  return {pool.begin(), pool.begin() + count};
}

/// At most `count` of the pool, evenly spaced; 0: all.
Indices thinned(const Indices& pool, std::int64_t count) {
  const auto size = static_cast<std::int64_t>(pool.size());
  if (count == 0 || count >= size) return pool;
  Indices some;
  for (std::int64_t i = 0; i < count; ++i) some.push_back(pool[static_cast<std::size_t>(i * size / count)]);
  return some;
}

void require_both_kinds(const Dataset& data, const Indices& indices, const char* what) {
  std::int64_t anomalous = 0;
  for (const std::int64_t i : indices) anomalous += data.labels()[static_cast<std::size_t>(i)];
  const auto count = static_cast<std::int64_t>(indices.size());
  require(anomalous > 0 && anomalous < count, ErrorKind::input,
          "{}: {} of the {} windows {} are anomalous; F1 needs both kinds, so choose another "
          "data.series.threshold_part or other series",
          data.description(), anomalous == 0 ? "none" : (anomalous == count ? "all" : ""), count, what);
}

void check_sensors(const Dataset& train, const Dataset& test) {
  const std::vector<std::string>&a = train.scaling()->names, &b = test.scaling()->names;
  require(a == b, ErrorKind::input, "training and test series differ in their sensors: {}; {}", fmt::join(a, ", "),
          fmt::join(b, ", "));
}

}  // namespace

Splits make_series_splits(const Dataset& train, const Dataset& test, const SplitRequest& request) {
  check_sensors(train, test);
  const Parted training = part(train, kBeforeGate), labelled = part(test, request.threshold_part);
  Splits splits;
  splits.threshold = thinned(labelled.before, request.test);
  splits.test = thinned(labelled.behind, request.test);

  const Indices pool = drawn(training.before, request.seed, Draw::before_gate);
  const std::string early = "the part of the training series before the gate's last quarter";
  splits.calibration = first(pool, request.calibration, "data.calibration", early);
  splits.gate = first(drawn(training.behind, request.seed, Draw::gate), request.gate, "data.gate",
                      "the last quarter of the training series");
  splits.fitness_from_test = request.paper_protocol;
  splits.fitness = request.paper_protocol ? first(drawn(labelled.behind, request.seed, Draw::test), request.fitness,
                                                  "data.fitness", "the test part")
                                          : first(pool, request.fitness, "data.fitness", early);
  return splits;
}

void require_both_kinds(const Dataset& test, const Splits& splits) {
  if (!is_series(test)) return;
  require_both_kinds(test, splits.threshold, "that choose the threshold");
  require_both_kinds(test, splits.test, "that are test");
}

std::vector<std::int32_t> time_blocks(const Dataset& data, const Indices& indices) {
  std::vector<std::int32_t> blocks;
  if (!is_series(data)) return blocks;
  std::int32_t block = -1;
  std::int64_t end = 0;  // of the block, in windows
  auto run = data.runs().begin();
  for (const std::int64_t index : indices) {
    while (index >= run->first + run->count) ++run;
    if (index >= end) {
      ++block;
      end = std::min(index + kBlockSteps, run->first + run->count);
    }
    blocks.push_back(block);
  }
  return blocks;
}

}  // namespace qnudge
