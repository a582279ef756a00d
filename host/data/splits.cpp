// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>

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

/// Deals one index of each class in turn, classes ascending, until all piles are empty: every run of consecutive
/// indices is balanced as far as the piles reach.
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

void check_request(const Dataset& train, const Dataset& test, const SplitRequest& r) {
  require(r.calibration >= 0 && r.fitness >= 0 && r.gate >= 0 && r.test >= 0, ErrorKind::usage,
          "data.calibration, data.fitness, data.gate and data.test must not be negative, found {}, {}, {} and {}",
          r.calibration, r.fitness, r.gate, r.test);
  const std::int64_t beside_gate = r.paper_protocol ? r.calibration : std::max(r.calibration, r.fitness);
  require(
      r.gate <= train.size() && beside_gate <= train.size() - r.gate, ErrorKind::usage,
      "the training set has {} images, but {} beside the {} of data.gate are asked for; lower {}data.calibration or "
      "data.gate",
      train.size(), beside_gate, r.gate, r.paper_protocol ? "" : "data.fitness, ");
  require(r.test <= test.size(), ErrorKind::usage,
          "the test set has {} images, but data.test asks for {}; lower it, or set it to 0 for all", test.size(),
          r.test);
  require(!r.paper_protocol || r.fitness <= test.size(), ErrorKind::usage,
          "the test set has {} images, but data.fitness asks for {} of them in the protocol paper; lower data.fitness",
          test.size(), r.fitness);
}

}  // namespace

Splits make_splits(const Dataset& train, const Dataset& test, const SplitRequest& request) {
  require(train.shape() == test.shape() && train.classes() == test.classes(), ErrorKind::input,
          "training and test set differ in kind: {}; {}", train.description(), test.description());
  if (is_series(train) && is_series(test)) return make_series_splits(train, test, request);
  check_request(train, test, request);
  const Piles piles = shuffled_piles(train, request.seed);
  const Indices order = dealt(piles);
  const Indices test_order = dealt(shuffled_piles(test, request.seed));

  Splits splits;
  splits.fitness_from_test = request.paper_protocol;
  splits.fitness = first(request.paper_protocol ? test_order : order, request.fitness);
  // The gate follows the set that was dealt first; all that is not gate is dealt again for calibration, which therefore
  // begins with those same images.
  const std::int64_t before_gate = request.paper_protocol ? request.calibration : request.fitness;
  splits.gate = {order.begin() + before_gate, order.begin() + before_gate + request.gate};
  splits.calibration = first(dealt(without(piles, splits.gate, train.size())), request.calibration);
  if (request.test == 0) {
    splits.test.resize(static_cast<std::size_t>(test.size()));
    std::iota(splits.test.begin(), splits.test.end(), std::int64_t{0});
  } else {
    splits.test = first(test_order, request.test);
  }
  return splits;
}

}  // namespace qnudge
