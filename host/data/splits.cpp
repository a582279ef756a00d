// SPDX-License-Identifier: MIT
#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/data/dataset.hpp"
#include "series_splits.hpp"

namespace qnudge {
namespace {

using Piles = std::vector<Indices>;  // [classes] indices in drawn order

/// The random word of position `position` in class `label`.
std::uint32_t draw(std::uint64_t seed, std::size_t label, std::size_t position) {
  const DrawAddress at{.candidate = static_cast<std::uint32_t>(label), .purpose = Purpose::sample_split};
  return draw_block(Random123Philox{}, seed, at, static_cast<std::uint32_t>(position / 4)).v[position % 4];
}

/// One pile per class, sorted by (random word, index). Depends on labels and seed only, so every machine gets the same.
Piles shuffled_piles(const Dataset& data, std::uint64_t seed) {
  Piles piles(static_cast<std::size_t>(data.classes()));
  const std::span<const std::int32_t> labels = data.labels();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    piles[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::int64_t>(i));
  }
  for (std::size_t label = 0; label < piles.size(); ++label) {
    std::vector<std::pair<std::uint32_t, std::int64_t>> order;
    for (const std::int64_t index : piles[label]) order.emplace_back(draw(seed, label, order.size()), index);
    std::sort(order.begin(), order.end());
    std::transform(order.begin(), order.end(), piles[label].begin(), [](const auto& entry) { return entry.second; });
  }
  return piles;
}

/// The piles in an order drawn by seed.
Piles in_drawn_order(Piles piles, std::uint64_t seed) {
  std::vector<std::pair<std::uint32_t, std::size_t>> order;
  for (std::size_t label = 0; label < piles.size(); ++label) {
    const auto index = static_cast<std::uint32_t>(label);
    const U32x4 words = draw_block(Random123Philox{}, seed, {.purpose = Purpose::class_order}, index / 4);
    order.emplace_back(words.v[index % 4], label);
  }
  std::sort(order.begin(), order.end());
  Piles drawn;
  for (const auto& [word, label] : order) drawn.push_back(std::move(piles[label]));
  return drawn;
}

/// Shuffled piles to deal sets of these sizes from: in the order of classes unless one of them would then always get
/// the first few.
Piles piles_for(const Dataset& data, std::uint64_t seed, std::initializer_list<std::int64_t> sizes) {
  Piles piles = shuffled_piles(data, seed);
  const auto classes = std::count_if(piles.begin(), piles.end(), [](const Indices& pile) { return !pile.empty(); });
  const bool fits = std::all_of(sizes.begin(), sizes.end(), [&](std::int64_t n) { return n == 0 || n >= classes; });
  return fits ? piles : in_drawn_order(std::move(piles), seed);
}

/// Deals one index of each pile in turn until all are empty: every run of consecutive indices is balanced as far as the
/// piles reach.
Indices dealt(const Piles& piles) {
  std::size_t rounds = 0;
  for (const Indices& pile : piles) rounds = std::max(rounds, pile.size());
  Indices order;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const Indices& pile : piles) {
      if (round < pile.size()) order.push_back(pile[round]);
    }
  }
  return order;
}

Indices first(const Indices& order, std::int64_t count) {
  return {order.begin(), order.begin() + count};
}

/// What is left of the piles without `taken`, in the same order.
Piles without(Piles piles, const Indices& taken, std::int64_t size) {
  std::vector<bool> gone(static_cast<std::size_t>(size));
  for (const std::int64_t index : taken) gone[static_cast<std::size_t>(index)] = true;
  for (Indices& pile : piles) {
    std::erase_if(pile, [&](std::int64_t index) { return gone[static_cast<std::size_t>(index)]; });
  }
  return piles;
}

Indices sorted(Indices indices) {
  std::sort(indices.begin(), indices.end());
  return indices;
}

}  // namespace

void check_split_sizes(std::int64_t train, std::int64_t test, const SplitRequest& r) {
  require(r.calibration >= 0 && r.fitness >= 0 && r.gate >= 0 && r.test >= 0, ErrorKind::usage,
          "data.calibration, data.fitness, data.gate and data.test must not be negative, found {}, {}, {} and {}",
          r.calibration, r.fitness, r.gate, r.test);
  const std::int64_t beside_gate = r.paper_protocol ? r.calibration : std::max(r.calibration, r.fitness);
  const std::int64_t gate = r.gate_from_test ? 0 : r.gate, test_gate = r.gate - gate;
  require(
      gate <= train && beside_gate <= train - gate, ErrorKind::usage,
      "the training set has {} images, but {} beside the {} of data.gate are asked for; lower {}data.calibration or "
      "data.gate",
      train, beside_gate, gate, r.paper_protocol ? "" : "data.fitness, ");
  require(test_gate == 0 || test_gate < test, ErrorKind::usage,
          "the test set has {} images, but data.gate asks for {} of them, which leaves none; lower it", test,
          test_gate);
  const std::int64_t left = r.test_from_train ? train - gate - beside_gate : test - test_gate;
  require(r.test_from_train || r.test <= left, ErrorKind::usage,
          "the test set has {} images{}, but data.test asks for {}; lower it, or set it to 0 for all", left,
          test_gate == 0 ? "" : " beside the gate's", r.test);
  require(left > 0 && r.test <= left, ErrorKind::usage,
          "the training set has {} images, of which the other sets leave {} for the test set, but data.test asks for "
          "{}; lower data.fitness, data.calibration, data.gate or data.test",
          train, left, std::max<std::int64_t>(r.test, 1));
  require(!r.paper_protocol || r.fitness <= left, ErrorKind::usage,
          "the test set has {} images, but data.fitness asks for {} of them in the protocol paper; lower data.fitness",
          left, r.fitness);
}

Splits make_splits(const Dataset& train, const Dataset& test, const SplitRequest& request) {
  require(train.shape() == test.shape() && train.classes() == test.classes(), ErrorKind::input,
          "training and test set differ in kind: {}; {}", train.description(), test.description());
  if (is_series(train) && is_series(test)) return make_series_splits(train, test, request);
  check_split_sizes(train.size(), test.size(), request);
  const bool paper = request.paper_protocol, one_set = request.test_from_train;
  const std::int64_t gate = request.gate_from_test ? 0 : request.gate, test_gate = request.gate - gate;
  // Of one set the last draw is the test set's: its size must not show in the others.
  const Piles piles = one_set
                          ? in_drawn_order(shuffled_piles(train, request.seed), request.seed)
                          : piles_for(train, request.seed, {request.calibration, gate, paper ? 0 : request.fitness});
  const Indices order = dealt(piles);

  Splits splits;
  splits.fitness_from_test = paper;
  splits.gate_from_test = request.gate_from_test;
  // The gate follows the set that was dealt first; all that is not gate is dealt again for calibration, which therefore
  // begins with those same images.
  const std::int64_t before_gate = paper ? request.calibration : request.fitness;
  splits.gate = {order.begin() + before_gate, order.begin() + before_gate + gate};
  const Piles beside_gate = without(piles, splits.gate, train.size());
  const std::int64_t taken = paper ? request.calibration : std::max(request.calibration, request.fitness);
  splits.calibration = first(dealt(beside_gate), request.calibration);
  Piles test_piles = one_set ? without(beside_gate, first(dealt(beside_gate), taken), train.size())
                             : piles_for(test, request.seed, {request.test, paper ? request.fitness : test_gate});
  if (request.gate_from_test) {
    splits.gate = first(dealt(test_piles), test_gate);
    test_piles = without(std::move(test_piles), splits.gate, test.size());
  }
  const Indices test_order = dealt(test_piles);
  splits.fitness = first(paper ? test_order : order, request.fitness);
  splits.test = request.test == 0 ? sorted(test_order) : first(test_order, request.test);
  return splits;
}

}  // namespace qnudge
