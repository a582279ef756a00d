// SPDX-License-Identifier: MIT
// The quadratic form and the refit of gain and bias against plain sums over rows in double.
#include "qnudge/quant/gram.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

/// One layer of `groups` groups, its rows and targets, and their sums.
struct Observed {
  Observed(std::uint64_t seed, std::int64_t groups, std::int64_t taps, std::int64_t channels, std::int64_t rows)
      : random(seed) {
    network.nodes.resize(2);
    network.nodes[0].exponent = -5;
    network.nodes[1].inputs = {0};
    network.nodes[1].exponent = -4;
    network.nodes[1].what = IntLayer{0};
    layer.node = 1;
    layer.conv.groups = groups;
    layer.filter = {channels, 1, 1, taps};
    for (std::int64_t i = 0; i < layer.filter.size(); ++i)
      layer.weights.push_back(static_cast<float>(draw(-1000, 1000)) / 999.0f);
    for (std::int64_t k = 0; k < channels; ++k) {
      layer.gain.push_back(0.2 + static_cast<double>(draw(0, 100)) / 50.0);
      layer.shift.push_back(static_cast<double>(draw(-100, 100)) / 100.0);
    }
    network.layers.push_back(layer);
    params = quantise_layer(network, layer, {.bits = 3});
    sums = {rows, groups, channels, taps, {}, {}, {}, {}};
    sums.x.resize(static_cast<std::size_t>(groups * taps));
    sums.xx.resize(static_cast<std::size_t>(groups * taps * taps));
    sums.t.resize(static_cast<std::size_t>(channels));
    sums.xt.resize(static_cast<std::size_t>(channels * taps));
    for (std::int64_t r = 0; r < rows; ++r) add_row();
  }
  std::int64_t draw(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(high - low + 1));
  }
  std::int64_t first(std::int64_t k) const { return k / (sums.channels / sums.groups) * sums.taps; }

  void add_row() {
    std::vector<std::int64_t> row, target;
    for (std::int64_t i = 0; i < sums.groups * sums.taps; ++i) row.push_back(draw(0, 3) == 0 ? 0 : draw(-20, 100));
    for (std::int64_t k = 0; k < sums.channels; ++k) {
      double y = layer.shift[static_cast<std::size_t>(k)] + static_cast<double>(draw(-100, 100)) / 200.0;
      for (std::int64_t j = 0; j < sums.taps; ++j) {
        y += layer.gain[static_cast<std::size_t>(k)] *
             static_cast<double>(layer.weights[static_cast<std::size_t>(k * sums.taps + j)]) *
             std::ldexp(static_cast<double>(row[static_cast<std::size_t>(first(k) + j)]), -5);
      }
      target.push_back(std::clamp<std::int64_t>(std::llround(std::ldexp(y, 8)), -kTargetLimit, kTargetLimit));
    }
    for (std::size_t i = 0; i < row.size(); ++i) {
      sums.x[i] += row[i];
      const std::size_t taps = static_cast<std::size_t>(sums.taps), begin = i - i % taps;
      for (std::size_t j = 0; j < taps; ++j) sums.xx[i * taps + j] += row[i] * row[begin + j];
    }
    for (std::int64_t k = 0; k < sums.channels; ++k) {
      sums.t[static_cast<std::size_t>(k)] += target[static_cast<std::size_t>(k)];
      for (std::int64_t j = 0; j < sums.taps; ++j) {
        sums.xt[static_cast<std::size_t>(k * sums.taps + j)] +=
            target[static_cast<std::size_t>(k)] * row[static_cast<std::size_t>(first(k) + j)];
      }
    }
    x.push_back(row);
    t.push_back(target);
  }

  /// Mean squared error of channel k in real units with these params, rounding of the output apart.
  double error(std::int64_t k, const LayerParams& p, bool centred) const {
    double sum = 0, squares = 0;
    const double unit = static_cast<double>(p.multiplier[static_cast<std::size_t>(k)]) * std::ldexp(1.0, -4);
    for (std::size_t r = 0; r < x.size(); ++r) {
      double acc = static_cast<double>(p.bias[static_cast<std::size_t>(k)]);
      for (std::int64_t j = 0; j < sums.taps; ++j)
        acc += p.codes[static_cast<std::size_t>(k * sums.taps + j)] *
               static_cast<double>(x[r][static_cast<std::size_t>(first(k) + j)]);
      const double e = acc * unit - std::ldexp(static_cast<double>(t[r][static_cast<std::size_t>(k)]), -8);
      sum += e;
      squares += e * e;
    }
    const auto n = static_cast<double>(x.size());
    return squares / n - (centred ? sum / n * (sum / n) : 0.0);
  }

  std::mt19937_64 random;
  IntNetwork network;
  Layer layer;
  LayerParams params;
  GramSums sums;
  std::vector<std::vector<std::int64_t>> x, t;
};

TEST(GramForm, DifferencesOfErrorsAreThoseOfTheRows) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    Observed o(seed, 1 + static_cast<std::int64_t>(seed % 3), 5 + static_cast<std::int64_t>(seed), 6, 300);
    const GramForm form = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.0);
    for (std::int64_t k = 0; k < 6; ++k) {
      ASSERT_FALSE(o.params.frozen[static_cast<std::size_t>(k)]);
      LayerParams other = o.params;
      for (std::int64_t j = 0; j < form.taps; ++j)
        other.codes[static_cast<std::size_t>(k * form.taps + j)] = static_cast<std::int8_t>(o.draw(-4, 3));
      const std::int64_t difference = gram_error(form, k, other.codes.data() + k * form.taps) -
                                      gram_error(form, k, o.params.codes.data() + k * form.taps);
      const double unit = static_cast<double>(o.params.multiplier[static_cast<std::size_t>(k)]) * std::ldexp(1.0, -4);
      const double expected = (o.error(k, other, true) - o.error(k, o.params, true)) / (unit * unit) * 300.0 * 300.0;
      EXPECT_NEAR(std::ldexp(static_cast<double>(difference), form.shift), expected,
                  1e-6 * std::abs(expected) + std::ldexp(64.0 * 49.0, form.shift));
    }
  }
}

TEST(GramForm, DampingPullsTowardsTheRealWeights) {
  Observed o(3, 1, 8, 4, 100);
  const GramForm plain = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.0);
  const GramForm damped = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.5);
  double trace = 0;
  for (std::int64_t j = 0; j < 8; ++j) trace += std::ldexp(plain.h[static_cast<std::size_t>(j * 9)], plain.shift);
  for (std::int64_t i = 0; i < 8; ++i) {
    for (std::int64_t j = 0; j < 8; ++j) {
      const auto at = static_cast<std::size_t>(i * 8 + j);
      const double added = std::ldexp(damped.h[at], damped.shift) - std::ldexp(plain.h[at], plain.shift);
      EXPECT_NEAR(added, i == j ? 0.5 * trace / 8 : 0.0, 1e-5 * trace);
    }
    const double weight =
        static_cast<double>(o.layer.weights[static_cast<std::size_t>(i)]) / static_cast<double>(o.params.scale[0]);
    const double pull = std::ldexp(static_cast<double>(damped.c[static_cast<std::size_t>(i)]), damped.shift) -
                        std::ldexp(static_cast<double>(plain.c[static_cast<std::size_t>(i)]), plain.shift);
    EXPECT_NEAR(pull, 0.5 * trace / 8 * weight, 1e-5 * trace);
  }
}

TEST(GramForm, OrdersTapsByFallingDiagonalAndKeepsErrorsInRange) {
  Observed o(5, 2, 40, 8, 500);
  const GramForm form = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.01);
  for (std::int64_t g = 0; g < 2; ++g) {
    const std::int32_t* const h = form.matrix(g);
    const std::int32_t* const order = form.order.data() + g * 40;
    for (std::int64_t i = 1; i < 40; ++i) {
      const std::int64_t before = h[order[i - 1] * 41], after = h[order[i] * 41];
      EXPECT_TRUE(before > after || (before == after && order[i - 1] < order[i]));
    }
    if (g == 0) {
      EXPECT_GT(h[order[0] * 41], 1 << 28) << "and uses 30 bits where the errors allow it";
    }
    double bound = 0;
    for (std::int64_t i = 0; i < 1600; ++i) bound += std::abs(static_cast<double>(h[i])) * 16;
    for (std::int64_t k = g * 4; k < g * 4 + 4; ++k) {
      double cross = bound;
      for (std::int64_t j = 0; j < 40; ++j)
        cross += 8.0 * std::abs(static_cast<double>(form.c[static_cast<std::size_t>(k * 40 + j)]));
      EXPECT_LT(cross * 8, std::ldexp(1.0, 61));
    }
  }
}

TEST(GramForm, ConstantInputsGiveNothingToDescendOn) {
  Observed o(6, 1, 4, 2, 0);
  for (int row = 0; row < 50; ++row) {
    for (std::size_t i = 0; i < 4; ++i) {
      o.sums.x[i] += 7;
      for (std::size_t j = 0; j < 4; ++j) o.sums.xx[i * 4 + j] += 49;
    }
  }
  o.sums.rows = 50;
  const GramForm form = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.01);
  EXPECT_EQ(form.h, std::vector<std::int32_t>(16));
  EXPECT_EQ(form.c, std::vector<std::int64_t>(8));
  EXPECT_EQ(form.order, (std::vector<std::int32_t>{0, 1, 2, 3}));
  const LayerParams before = o.params;
  refit_gain_and_bias(o.network, o.layer, o.sums, form, -8, o.params);
  EXPECT_EQ(o.params.multiplier, before.multiplier);
}

TEST(Refit, GivesTheLeastSquaresGainAndTheTargetsMean) {
  for (std::uint64_t seed = 20; seed < 30; ++seed) {
    Observed o(seed, 1 + static_cast<std::int64_t>(seed % 2), 12, 4, 400);
    const GramForm form = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.01);
    const LayerParams before = o.params;
    refit_gain_and_bias(o.network, o.layer, o.sums, form, -8, o.params);
    EXPECT_EQ(o.params.codes, before.codes);
    for (std::int64_t k = 0; k < 4; ++k) {
      const auto c = static_cast<std::size_t>(k);
      const float gain = o.params.multiplier[c] / before.multiplier[c];
      EXPECT_GE(gain, 0.249f);
      EXPECT_LE(gain, 4.001f);
      EXPECT_LE(o.error(k, o.params, true), o.error(k, before, true) * 1.000001);
      if (gain > 0.26f && gain < 3.99f) {
        for (const float other : {0.99f, 1.01f}) {
          LayerParams near = o.params;
          near.multiplier[c] *= other;
          EXPECT_LT(o.error(k, o.params, true), o.error(k, near, true)) << "seed " << seed << " channel " << k;
        }
      }
      const double unit = static_cast<double>(o.params.multiplier[c]) * std::ldexp(1.0, -4);
      const double mean_error = std::sqrt(std::max(0.0, o.error(k, o.params, false) - o.error(k, o.params, true)));
      EXPECT_LE(mean_error, 0.5001 * unit) << "the bias is rounded to a step of the accumulator";
    }
  }
}

TEST(Refit, LeavesFrozenChannelsAlone) {
  Observed o(40, 1, 6, 3, 100);
  o.params.frozen[1] = 1;
  std::fill_n(o.params.codes.begin() + 6, 6, std::int8_t{0});
  const LayerParams before = o.params;
  const GramForm form = make_gram_form(o.network, o.layer, o.params, o.sums, -8, 0.01);
  refit_gain_and_bias(o.network, o.layer, o.sums, form, -8, o.params);
  EXPECT_EQ(o.params.multiplier[1], before.multiplier[1]);
  EXPECT_EQ(o.params.bias[1], before.bias[1]);
  EXPECT_NE(o.params.bias[0], before.bias[0]);
}

}  // namespace
}  // namespace qnudge
