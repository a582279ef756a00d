// SPDX-License-Identifier: MIT
// Gram sums, descent and the two strategies by channel against their definitions, on random networks: equality.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <random>

#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/kernels/channel_error.hpp"
#include "qnudge/kernels/descent.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/fit_problem.hpp"
#include "support/naive_network.hpp"

namespace qnudge {
namespace {

using Problem = test::FitProblem;

/// What the layer reads and what it is to give, row by row, from the naive network: taps in KRSC order per group.
struct NaiveRows {
  std::vector<std::vector<std::int64_t>> x;         // [rows][groups * taps]
  std::vector<std::vector<test::NaiveTensor>> run;  // [images][nodes]
};

NaiveRows naive_rows(const Problem& p) {
  NaiveRows rows;
  const Layer& l = p.description();
  const auto size = static_cast<std::size_t>(p.network.nodes.front().shape.size());
  for (std::int64_t image = 0; image < p.images.count; ++image) {
    rows.run.push_back(
        test::naive_run(p.network, std::span(p.images.codes).subspan(static_cast<std::size_t>(image) * size, size)));
    const auto& input = rows.run.back()[static_cast<std::size_t>(p.network.at(l.node).inputs.front())].codes;
    for (std::int64_t i = 0; i < p.targets.per_image; ++i) {
      const std::int64_t at = p.targets.positions[static_cast<std::size_t>(image * p.targets.per_image + i)];
      const std::int64_t oy = at / l.out.w, ox = at % l.out.w;
      std::vector<std::int64_t> row;
      for (std::int64_t g = 0; g < l.conv.groups; ++g) {
        for (std::int64_t tap = 0; tap < l.filter.taps(); ++tap) {
          // the response to a filter that is 1 at this tap
          Layer probe = l;
          probe.params.codes.assign(l.params.codes.size(), 0);
          const std::int64_t k = g * (l.filter.k / l.conv.groups);
          probe.params.codes[static_cast<std::size_t>(k * l.filter.taps() + tap)] = 1;
          row.push_back(test::naive_accumulator(probe, input, oy, ox, k));
        }
      }
      rows.x.push_back(std::move(row));
    }
  }
  return rows;
}

std::size_t row_image(const Problem& p, std::size_t row) {
  return row / static_cast<std::size_t>(p.targets.per_image);
}

const std::int8_t* shortcut_codes(const Problem& p, const NaiveRows& rows, std::size_t row) {
  if (p.targets.site.shortcut < 0) return nullptr;
  const auto& tensor = rows.run[row_image(p, row)][static_cast<std::size_t>(p.targets.site.shortcut)].codes;
  return tensor.data() + p.targets.positions[row] * p.description().out.c;
}

std::int64_t naive_target(const Problem& p, const NaiveRows& rows, std::size_t row, std::int64_t k) {
  std::int64_t t = p.values[row * static_cast<std::size_t>(p.description().out.c) + static_cast<std::size_t>(k)];
  if (const std::int8_t* const codes = shortcut_codes(p, rows, row)) {
    t -= shifted(codes[k], p.network.at(p.targets.site.shortcut).exponent - p.targets.exponent);
  }
  return std::clamp<std::int64_t>(t, -kTargetLimit, kTargetLimit);
}

GramSums naive_sums(const Problem& p) {
  const NaiveRows rows = naive_rows(p);
  const Layer& l = p.description();
  const std::int64_t taps = l.filter.taps(), groups = l.conv.groups, per_group = l.filter.k / groups;
  GramSums s{static_cast<std::int64_t>(rows.x.size()), groups, l.filter.k, taps, {}, {}, {}, {}};
  s.x.resize(static_cast<std::size_t>(groups * taps));
  s.xx.resize(static_cast<std::size_t>(groups * taps * taps));
  s.t.resize(static_cast<std::size_t>(l.filter.k));
  s.xt.resize(static_cast<std::size_t>(l.filter.k * taps));
  for (std::size_t row = 0; row < rows.x.size(); ++row) {
    const auto& x = rows.x[row];
    for (std::size_t i = 0; i < x.size(); ++i) {
      s.x[i] += x[i];
      const std::size_t first = i - i % static_cast<std::size_t>(taps);
      for (std::size_t j = 0; j < static_cast<std::size_t>(taps); ++j)
        s.xx[i * static_cast<std::size_t>(taps) + j] += x[i] * x[first + j];
    }
    for (std::int64_t k = 0; k < l.filter.k; ++k) {
      const std::int64_t t = naive_target(p, rows, row, k);
      s.t[static_cast<std::size_t>(k)] += t;
      for (std::int64_t j = 0; j < taps; ++j) {
        s.xt[static_cast<std::size_t>(k * taps + j)] += t * x[static_cast<std::size_t>(k / per_group * taps + j)];
      }
    }
  }
  return s;
}

class ChannelWise : public testing::TestWithParam<int> {
 protected:
  template <class Check>
  void each(int count, const Check& check) {
    for (int i = 0; i < count; ++i) {
      const Problem problem(static_cast<std::uint64_t>(GetParam() * count + i), static_cast<std::size_t>(i));
      SCOPED_TRACE(fmt::format("seed {}, layer {} of {}{}", GetParam() * count + i, problem.layer,
                               problem.network.layers.size(), problem.targets.site.shortcut < 0 ? "" : ", shortcut"));
      check(problem);
    }
  }
};

TEST_P(ChannelWise, GramSumsEqualTheOracleOnEveryBackend) {
  int shortcuts = 0;
  each(32, [&](const Problem& p) {
    const GramSums expected = naive_sums(p);
    shortcuts += p.targets.site.shortcut >= 0;
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_reference_backend());
    backends.push_back(make_host_backend({.threads = 2, .tile = 2}));
    backends.push_back(make_host_backend({.threads = 1, .tile = 4, .vendor_kernels = false}));
    for (const auto& backend : backends) {
      const auto session = backend->open(p.network);
      const GramSums found = session->gram_sums(p.layer, session->upload(p.images), p.targets);
      ASSERT_EQ(found.rows, expected.rows);
      ASSERT_EQ(found.taps, expected.taps);
      ASSERT_EQ(found.x, expected.x) << backend->device();
      ASSERT_EQ(found.xx, expected.xx) << backend->device();
      ASSERT_EQ(found.t, expected.t) << backend->device();
      ASSERT_EQ(found.xt, expected.xt) << backend->device();
    }
  });
  EXPECT_GT(shortcuts, 0) << "the case must exercise shortcuts";
}

/// Strategy "gram" from its definition: one channel at a time, every gradient from scratch, taps in their own order.
class NaiveGram {
 public:
  using Codes = std::vector<std::int8_t>;  // [K, taps]

  NaiveGram(const GramForm& form, const Codes& codes, GramOptions options, int layer)
      : original_(form),
        f_(form),
        gains_(static_cast<std::size_t>(form.channels), 1.0),
        elites_{codes},
        o_(options),
        layer_(layer) {
    for (int fit = 0; fit < (o_.joint_gain ? kStartFits : 1); ++fit) {
      for (std::int64_t k = 0; k < f_.channels; ++k) {
        for (int i = 0; i < kStartSweeps; ++i) sweep(k, elites_[0], {.rows = f_.taps});
      }
      if (o_.joint_gain) fit_gains();
    }
    elites_.resize(static_cast<std::size_t>(o_.parents), Codes(elites_[0]));
  }
  void generation() {
    for (std::int64_t k = 0; k < f_.channels; ++k) {
      if (!f_.frozen[static_cast<std::size_t>(k)]) evolve(k);
    }
    ++generation_;
    if (o_.joint_gain && generation_ % kFitEvery == 0) fit_gains();
  }
  const Codes& codes() const { return elites_[0]; }
  /// [mu, K, taps]
  Codes genomes() const {
    Codes all;
    for (const Codes& elite : elites_) all.insert(all.end(), elite.begin(), elite.end());
    return all;
  }
  const std::vector<double>& gains() const { return gains_; }
  std::int64_t error(std::int64_t k, const Codes& codes) const {
    if (f_.frozen[static_cast<std::size_t>(k)]) return 0;
    return gained_error(error_at(k, codes), gains_[static_cast<std::size_t>(k)]);
  }
  int crossed = 0, refused = 0, overtaken = 0;

 private:
  std::int64_t error_at(std::int64_t k, const Codes& codes) const {
    return gram_error(f_, k, codes.data() + k * f_.taps);
  }
  void take(std::int64_t k, const Codes& from, Codes& to) const {
    std::copy_n(from.begin() + k * f_.taps, f_.taps, to.begin() + k * f_.taps);
  }
  void evolve(std::int64_t k) {
    const std::vector<Codes> before = elites_;
    std::vector<std::optional<Codes>> fittest(elites_.size());
    for (std::int32_t j = 0; j < o_.offspring; ++j) {
      const auto own = static_cast<std::size_t>((std::int64_t{generation_} * o_.offspring + j) % o_.parents);
      Codes child = offspring(k, j, own, before);
      const std::int64_t best = error_at(k, fittest[own] ? *fittest[own] : before[own]);
      if (error_at(k, child) < best) fittest[own] = std::move(child);
    }
    for (std::size_t e = 0; e < elites_.size(); ++e) {
      if (!fittest[e]) continue;
      const bool known = std::any_of(elites_.begin(), elites_.end(), [&](const Codes& elite) {
        return error_at(k, elite) == error_at(k, *fittest[e]);
      });
      refused += known;
      if (!known) take(k, *fittest[e], elites_[e]);
    }
    std::size_t first = 0;
    for (std::size_t e = 1; e < elites_.size(); ++e) {
      if (error_at(k, elites_[e]) < error_at(k, elites_[first])) first = e;
    }
    overtaken += first != 0;
    std::swap_ranges(elites_[0].begin() + k * f_.taps, elites_[0].begin() + (k + 1) * f_.taps,
                     elites_[first].begin() + k * f_.taps);
  }
  Codes offspring(std::int64_t k, std::int32_t j, std::size_t own, const std::vector<Codes>& from) {
    Codes child = from[own];
    const bool crosses = o_.parents > 1 && word(Purpose::mate, j, 0) >= 0x80000000u;
    if (crosses) {
      const auto others = static_cast<std::uint32_t>(o_.parents - 1);
      const Codes& mate = from[(own + 1 + word(Purpose::mate, j, 1) % others) % from.size()];
      for (std::int64_t i = k * f_.taps; i < (k + 1) * f_.taps; ++i) {
        if (word(Purpose::crossover, j, i) >= 0x80000000u)
          child[static_cast<std::size_t>(i)] = mate[static_cast<std::size_t>(i)];
      }
    }
    const bool took = child != from[own];
    crossed += took;
    for (std::int64_t i = k * f_.taps; !took && i < (k + 1) * f_.taps; ++i) {
      std::int8_t& code = child[static_cast<std::size_t>(i)];
      code =
          static_cast<std::int8_t>(code + perturb_rule(o_.rate, f_.low, f_.high)(code, word(Purpose::perturb, j, i)));
    }
    const RowOrder order = order_is_drawn(generation_, j) ? RowOrder::drawn(f_.taps, word(Purpose::row_order, j, 0),
                                                                            word(Purpose::row_order, j, 1))
                                                          : RowOrder{.rows = f_.taps};
    for (int s = 0; s < kOffspringSweeps; ++s) sweep(k, child, order);
    return child;
  }
  std::uint32_t word(Purpose purpose, std::int32_t offspring, std::int64_t index) const {
    const DrawAddress at{static_cast<std::uint32_t>(offspring), static_cast<std::uint32_t>(generation_),
                         static_cast<std::uint32_t>(layer_), purpose};
    return draw_block(Random123Philox{}, o_.seed, at, static_cast<std::uint32_t>(index / 4)).v[index % 4];
  }
  void sweep(std::int64_t k, std::vector<std::int8_t>& codes, const RowOrder& order) const {
    if (f_.frozen[static_cast<std::size_t>(k)]) return;
    const std::int64_t g = k / (f_.channels / f_.groups);
    const std::int32_t* const h = f_.h.data() + g * f_.taps * f_.taps;
    std::int8_t* const q = codes.data() + k * f_.taps;
    for (std::int64_t i = 0; i < f_.taps; ++i) {
      const std::int64_t row = f_.order[static_cast<std::size_t>(g * f_.taps + order(i))];
      std::int64_t gradient = -f_.c[static_cast<std::size_t>(k * f_.taps + row)];
      for (std::int64_t j = 0; j < f_.taps; ++j) gradient += std::int64_t{h[row * f_.taps + j]} * q[j];
      q[row] =
          static_cast<std::int8_t>(q[row] + DescentRule{f_.low, f_.high}(q[row], gradient, h[row * f_.taps + row]));
    }
  }

  /// Every channel's c from its original over the gain.
  void fit_gains() {
    for (std::int64_t k = 0; k < f_.channels; ++k) {
      if (f_.frozen[static_cast<std::size_t>(k)]) continue;
      const std::int8_t* const q = elites_[0].data() + k * f_.taps;
      const std::int32_t* const h = f_.matrix(f_.group_of(k));
      std::int64_t linear = 0;
      for (std::int64_t j = 0; j < f_.taps; ++j)
        linear += q[j] * original_.c[static_cast<std::size_t>(k * f_.taps + j)];
      const std::int64_t power = gram_error(original_, k, q) + 2 * linear;
      double& gain = gains_[static_cast<std::size_t>(k)];
      if (power > 0) gain = std::clamp(static_cast<double>(linear) / static_cast<double>(power), 0.25, 4.0);
      for (std::int64_t j = 0; j < f_.taps; ++j) {
        std::int64_t most = 0;
        for (std::int64_t i = 0; i < f_.taps; ++i) most += -2 * f_.low * std::abs(std::int64_t{h[j * f_.taps + i]});
        const auto at = static_cast<std::size_t>(k * f_.taps + j);
        f_.c[at] = std::clamp<std::int64_t>(std::llrint(static_cast<double>(original_.c[at]) / gain), -most, most);
      }
    }
  }

  const GramForm& original_;
  GramForm f_;  // with c over the gain
  std::vector<double> gains_;
  std::vector<Codes> elites_;
  const GramOptions o_;
  const int layer_;
  std::int32_t generation_ = 0;
};

void run_generations(LayerSearch& search, std::int32_t limit) {
  const StopFlag never{false};
  search.repeat(limit, never, [&] {
    for (std::int32_t c = 0; c < search.chunks(); ++c) {
      search.mutate(c);
      search.evaluate(c);
    }
    search.select();
  });
}

TEST_P(ChannelWise, GramSearchEqualsItsDefinitionForAnyThreadsAndAcrossAPause) {
  constexpr std::int32_t kParents[] = {4, 1, 2};  // more than offspring: some elites have none in a generation
  int joint = 0, run = 0, crossed = 0, refused = 0, overtaken = 0;
  each(16, [&](const Problem& p) {
    const Layer& l = p.description();
    const GramForm form = make_gram_form(p.network, l, l.params, naive_sums(p), p.targets.exponent, 0.01);
    const GramOptions options{
        .parents = kParents[run++ % 3], .offspring = 3, .seed = 5, .rate = 0.1, .joint_gain = p.layer % 2 == 0};
    joint += options.joint_gain;
    NaiveGram naive(form, l.params.codes, options, p.layer);
    for (const int threads : {1, 3}) {
      const auto session = make_host_backend({.threads = threads})->open(p.network);
      const auto search = session->prepare_gram(p.layer, form, options);
      search->start();
      const NaiveGram started(form, l.params.codes, options, p.layer);
      ASSERT_EQ(search->save().parents, started.genomes());
      run_generations(*search, kFitEvery + 1);
      const auto resumed = session->prepare_gram(p.layer, form, options);
      resumed->restore(search->save());
      run_generations(*search, 2 * kFitEvery);
      run_generations(*resumed, 2 * kFitEvery);
      if (threads == 1)
        for (int g = 0; g < 2 * kFitEvery; ++g) naive.generation();
      const PopulationState state = search->save();
      ASSERT_EQ(state.parents, naive.genomes());
      ASSERT_EQ(resumed->save().parents, naive.genomes());
      ASSERT_EQ(state.gains, naive.gains());
      ASSERT_EQ(resumed->save().gains, naive.gains());
      std::int64_t total = 0;
      for (std::int64_t k = 0; k < form.channels; ++k) {
        ASSERT_EQ(state.fitness[static_cast<std::size_t>(k)], -naive.error(k, naive.codes()));
        total += naive.error(k, naive.codes());
      }
      EXPECT_EQ(search->mailbox().best, -total);
      EXPECT_EQ(search->take_history().size(), 2u * kFitEvery);
    }
    crossed += naive.crossed;
    refused += naive.refused;
    overtaken += naive.overtaken;
  });
  EXPECT_TRUE(joint > 0 && crossed > 0 && refused > 0 && overtaken > 0)
      << joint << ' ' << crossed << ' ' << refused << ' ' << overtaken << ": the cases must exercise all of it";
}

/// Errors of every channel with these codes, straight from the naive network.
std::vector<std::int64_t> naive_errors(const Problem& p, const std::vector<std::int8_t>& codes) {
  IntNetwork network = p.network;
  network.layer(p.layer).params.codes = codes;
  const IntNode& site = network.at(p.targets.site.node);
  const auto size = static_cast<std::size_t>(network.nodes.front().shape.size());
  const std::int64_t channels = p.description().out.c;
  std::vector<std::int64_t> errors(static_cast<std::size_t>(channels));
  for (std::int64_t image = 0; image < p.images.count; ++image) {
    const auto run =
        test::naive_run(network, std::span(p.images.codes).subspan(static_cast<std::size_t>(image) * size, size));
    const test::NaiveTensor& y = run[static_cast<std::size_t>(p.targets.site.node)];
    const bool real = p.targets.site.node == network.output && network.float_output();
    for (std::int64_t i = 0; i < p.targets.per_image; ++i) {
      const std::int64_t row = image * p.targets.per_image + i, at = p.targets.positions[static_cast<std::size_t>(row)];
      for (std::int64_t k = 0; k < channels; ++k) {
        double t = p.values[static_cast<std::size_t>(row * channels + k)];
        if (site.low == 0) t = std::max(t, 0.0);
        if (site.clip_high > 0) t = std::min(t, std::nearbyint(std::ldexp(site.clip_high, -p.targets.exponent)));
        const auto e = static_cast<std::size_t>(at * channels + k);
        const double value =
            real ? std::clamp(std::nearbyint(std::ldexp(static_cast<double>(y.values[e]), -p.targets.exponent)),
                              -4194304.0, 4194304.0)
                 : shifted(y.codes[e], site.exponent - p.targets.exponent);
        errors[static_cast<std::size_t>(k)] += static_cast<std::int64_t>((value - t) * (value - t));
      }
    }
  }
  return errors;
}

TEST_P(ChannelWise, ChannelSearchEqualsItsDefinitionForAnyBackendAndThreads) {
  each(10, [&](const Problem& p) {
    const Layer& l = p.description();
    const MutationKind kind = p.layer % 2 ? MutationKind::residual : MutationKind::uniform;
    const ChannelOptions options{
        .offspring = 3, .generations = 3, .seed = 7, .mutation = kind, .rate = 0.3, .rate_end = 0.1};
    const auto residual = residual_targets(l, l.params);
    std::vector<std::int8_t> elite = l.params.codes;
    std::vector<std::int64_t> error = naive_errors(p, elite);
    for (std::int32_t g = 0; g < options.generations; ++g) {
      const double rate = 0.3 + (0.1 - 0.3) * (g / 2.0);
      const auto thresholds = residual_thresholds(l.params.codes, residual, rate, l.params.frozen);
      const MutationRule rule{kind, uniform_thresholds(rate), thresholds.data(), -(1 << (l.params.bits - 1)),
                              (1 << (l.params.bits - 1)) - 1};
      const std::vector<std::int8_t> parent = elite;
      for (std::int32_t j = 0; j < options.offspring; ++j) {
        std::vector<std::int8_t> child = parent;
        for (std::size_t i = 0; i < child.size(); ++i) {
          if (l.params.frozen[i / static_cast<std::size_t>(l.filter.taps())]) continue;
          const DrawAddress at{static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(g),
                               static_cast<std::uint32_t>(p.layer), Purpose::mutate};
          child[i] = rule(child[i], residual[i],
                          draw_block(Random123Philox{}, 7, at, static_cast<std::uint32_t>(i / 4)).v[i % 4]);
        }
        const auto found = naive_errors(p, child);
        for (std::size_t k = 0; k < error.size(); ++k) {
          if (found[k] >= error[k]) continue;
          error[k] = found[k];
          const auto first = static_cast<std::ptrdiff_t>(k) * l.filter.taps();
          std::copy_n(child.begin() + first, l.filter.taps(), elite.begin() + first);
        }
      }
    }
    std::vector<std::unique_ptr<Backend>> backends;
    backends.push_back(make_reference_backend());
    backends.push_back(make_host_backend({.threads = 3, .tile = 2}));
    backends.push_back(make_host_backend({.threads = 1, .tile = 4, .vendor_kernels = false}));
    for (const auto& backend : backends) {
      const auto session = backend->open(p.network);
      const auto images = session->upload(p.images);
      const auto search = session->prepare_channels(p.layer, images, p.targets, options, residual);
      search->start();
      const auto start = naive_errors(p, l.params.codes);
      EXPECT_EQ(search->mailbox().best, -std::accumulate(start.begin(), start.end(), std::int64_t{0}));
      run_generations(*search, 1);
      const auto resumed = session->prepare_channels(p.layer, images, p.targets, options, residual);
      resumed->restore(search->save());
      run_generations(*search, 3);
      run_generations(*resumed, 3);
      ASSERT_EQ(search->save().parents, elite) << backend->device();
      ASSERT_EQ(resumed->save().parents, elite) << backend->device();
      for (std::size_t k = 0; k < error.size(); ++k) ASSERT_EQ(search->save().fitness[k], -error[k]);
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChannelWise, testing::Range(0, 4));

}  // namespace
}  // namespace qnudge
