// SPDX-License-Identifier: MIT
#include "channel_search.hpp"

#include <algorithm>
#include <numeric>

#include "channel_loops.hpp"
#include "parallel.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/quant/residual.hpp"

namespace qnudge {
namespace {

/// The layer over one block of rows: a 1x1 convolution whose input channels are the taps.
ConvProblem block_problem(const IntNetwork& network, const Layer& layer, bool inputs_signed) {
  ConvProblem problem = conv_problem(network, layer, 1, !inputs_signed);
  problem.conv = {.window = {}, .groups = layer.conv.groups};
  problem.filter = {layer.filter.k, 1, 1, layer.filter.taps()};
  problem.in = {1, kRowBlock, layer.conv.groups * layer.filter.taps()};
  problem.out = {1, kRowBlock, layer.filter.k};
  return problem;
}

}  // namespace

HostChannelSearch::HostChannelSearch(const IntNetwork& network, int layer, KernelFactory kernels, SampledRows sampled,
                                     bool inputs_signed, const LayerTargets& targets, const ChannelOptions& options,
                                     std::span<const std::int16_t> residual_targets, int threads)
    : layer_(network.layer(layer)),
      sampled_(std::move(sampled)),
      error_(channel_error(network, layer, targets, sampled_.shortcut)),
      options_(options),
      ordinal_(layer),
      threads_(threads),
      genes_(layer_.filter.size()),
      taps_(layer_.filter.taps()),
      channels_(layer_.filter.k),
      targets_(residual_targets.begin(), residual_targets.end()),
      kernel_(kernels(block_problem(network, layer_, inputs_signed), ConvMode::codes, layer_.params.multiplier)),
      elite_(layer_.params.codes),
      images_(targets.images) {
  const auto offspring = static_cast<std::size_t>(options.offspring);
  offspring_.resize(offspring * static_cast<std::size_t>(genes_));
  elite_error_.resize(static_cast<std::size_t>(channels_));
  offspring_error_.resize(offspring * static_cast<std::size_t>(channels_));
  if (options.mutation == MutationKind::uniform) return;
  require(targets_.size() == elite_.size(), ErrorKind::internal,
          "layer '{}': residual mutation needs one target per weight", layer_.name);
  for (std::int32_t g = 0; g < options.generations; ++g) {
    thresholds_.push_back(residual_thresholds(elite_, targets_, options.rate_at(g), layer_.params.frozen));
  }
}

MutationRule HostChannelSearch::rule() const {
  MutationRule rule;
  rule.kind = options_.mutation;
  rule.low = -(1 << (layer_.params.bits - 1));
  rule.high = -rule.low - 1;
  const auto generation = std::min(generation_, options_.generations - 1);
  if (rule.kind == MutationKind::uniform) {
    rule.uniform = uniform_thresholds(options_.rate_at(generation));
  } else {
    rule.residual_thresholds = thresholds_[static_cast<std::size_t>(generation)].data();
  }
  return rule;
}

void HostChannelSearch::mutate(std::int32_t) {
  const MutationRule mutation = rule();
  parallel_for(threads_, options_.offspring, [&](int, std::int64_t j) {
    const DrawAddress at{static_cast<std::uint32_t>(j), static_cast<std::uint32_t>(generation_),
                         static_cast<std::uint32_t>(ordinal_), Purpose::mutate};
    std::int8_t* const to = offspring_.data() + j * genes_;
    for (std::int64_t block = 0; block * 4 < genes_; ++block) {
      const U32x4 words = draw_block(Random123Philox{}, options_.seed, at, static_cast<std::uint32_t>(block));
      for (std::int64_t i = block * 4; i < std::min(genes_, block * 4 + 4); ++i) {
        const auto w = static_cast<std::size_t>(i);
        const bool frozen = layer_.params.frozen[static_cast<std::size_t>(i / taps_)] != 0;
        to[i] = frozen ? elite_[w] : mutation(elite_[w], targets_.empty() ? 0 : targets_[w], words.v[i % 4]);
      }
    }
  });
}

void HostChannelSearch::add_errors(std::int64_t block, const std::byte* output, std::int64_t* errors) const {
  const std::int64_t first = block * kRowBlock, rows = std::min(kRowBlock, sampled_.rows - first);
  if (error_.float_output) {
    add_channel_errors(error_, first, rows, channels_, reinterpret_cast<const float*>(output), errors);
  } else {
    add_channel_errors(error_, first, rows, channels_, reinterpret_cast<const std::int8_t*>(output), errors);
  }
}

void HostChannelSearch::errors(std::span<const std::int8_t> genomes, std::span<std::int64_t> errors) {
  const std::int64_t count = static_cast<std::int64_t>(genomes.size()) / genes_;
  const std::size_t bytes = kernel_->packed_bytes();
  const AlignedBuffer packed(bytes * static_cast<std::size_t>(count));
  const std::int64_t blocks = (sampled_.rows + kRowBlock - 1) / kRowBlock, width = sampled_.groups * sampled_.taps;
  parallel_for(threads_, count, [&](int, std::int64_t p) {
    const AlignedBuffer scratch(kernel_->scratch_bytes());
    kernel_->pack(genomes.data() + p * genes_, packed.data() + static_cast<std::size_t>(p) * bytes, scratch.data());
  });
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads_),
                                              std::vector<std::int64_t>(errors.size()));
  parallel_for(threads_, blocks, [&](int thread, std::int64_t block) {
    const AlignedBuffer scratch(kernel_->scratch_bytes());
    const AlignedBuffer output(static_cast<std::size_t>(kRowBlock * channels_) * sizeof(float));
    const std::int8_t* const x = sampled_.codes() + block * kRowBlock * width;
    for (std::int64_t p = 0; p < count; ++p) {
      kernel_->run(x, packed.data() + static_cast<std::size_t>(p) * bytes, layer_.params.bias.data(), output.data(),
                   scratch.data());
      add_errors(block, output.data(), sums[static_cast<std::size_t>(thread)].data() + p * channels_);
    }
  });
  for (std::size_t i = 0; i < errors.size(); ++i) {
    errors[i] = 0;
    for (const auto& part : sums) errors[i] += part[i];
  }
}

void HostChannelSearch::evaluate(std::int32_t) {
  errors(offspring_, offspring_error_);
  mailbox_.candidate_images += options_.offspring * images_;
}

void HostChannelSearch::select() {
  std::int32_t accepted = 0;
  for (std::int64_t k = 0; k < channels_; ++k) {
    const auto channel = static_cast<std::size_t>(k);
    std::int32_t best = -1;
    for (std::int32_t j = 0; j < options_.offspring; ++j) {
      const std::int64_t error = offspring_error_[static_cast<std::size_t>(j * channels_ + k)];
      if (error >= elite_error_[channel]) continue;
      elite_error_[channel] = error;
      best = j;
    }
    if (best < 0) continue;
    std::copy_n(offspring_.begin() + best * genes_ + k * taps_, taps_, elite_.begin() + k * taps_);
    ++accepted;
  }
  ++generation_;
  publish();
  const std::int64_t worst = *std::max_element(elite_error_.begin(), elite_error_.end());
  history_.push_back({generation_, mailbox_.best, -worst, accepted});
}

void HostChannelSearch::publish() {
  mailbox_.best = -std::accumulate(elite_error_.begin(), elite_error_.end(), std::int64_t{0});
  mailbox_.generation = generation_;
}

void HostChannelSearch::start() {
  errors(elite_, elite_error_);
  generation_ = 0;
  publish();
  start_fitness_ = mailbox_.best;
}

void HostChannelSearch::restore(const PopulationState& state) {
  require(state.parents.size() == elite_.size() && state.fitness.size() == elite_error_.size(), ErrorKind::input,
          "checkpoint: {} codes and {} channels do not fit a layer of {} and {}", state.parents.size(),
          state.fitness.size(), elite_.size(), elite_error_.size());
  elite_ = state.parents;
  std::transform(state.fitness.begin(), state.fitness.end(), elite_error_.begin(), std::negate<>{});
  start_fitness_ = state.start_fitness;
  generation_ = state.generation;
  publish();
}

void HostChannelSearch::repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) {
  while (generation_ < limit && !stop) body();
}

PopulationState HostChannelSearch::save() const {
  PopulationState state{generation_, start_fitness_, elite_, elite_error_};
  for (std::int64_t& fitness : state.fitness) fitness = -fitness;
  return state;
}

std::vector<GenerationRecord> HostChannelSearch::take_history() {
  return std::exchange(history_, {});
}

}  // namespace qnudge
