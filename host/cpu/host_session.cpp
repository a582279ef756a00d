// SPDX-License-Identifier: MIT
#include "host_session.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "channel_search.hpp"
#include "gram_search.hpp"
#include "gram_sums.hpp"
#include "layer_search.hpp"
#include "parallel.hpp"
#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/backend/tap_sums.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/kernels/candidates.hpp"

namespace qnudge {
namespace {

std::vector<int> all_nodes(const IntNetwork& network) {
  std::vector<int> nodes(network.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

std::vector<TileContext> make_contexts(const TileProgram& program, int threads) {
  std::vector<TileContext> contexts;
  for (int t = 0; t < threads; ++t) contexts.push_back(program.make_context());
  return contexts;
}

}  // namespace

std::int64_t choose_tile(const IntNetwork& network) {
  std::int64_t largest = 1;
  for (const IntNode& node : network.nodes) largest = std::max(largest, node.shape.size());
  std::int64_t tile = 16;
  while (tile > 1 && tile * largest > 512 * 1024) tile /= 2;
  return tile;
}

HostSession::HostSession(const IntNetwork& network, KernelFactory kernels, int threads, std::int64_t tile)
    : network_(network), kernels_(kernels), threads_(threads), tile_(tile), nonnegative_(nonnegative_codes(network)) {
  for (std::size_t l = 0; l < network_.layers.size(); ++l) {
    layers_.push_back(prepare_layer(static_cast<int>(l), ConvMode::codes));
  }
}

PreparedLayer HostSession::prepare_layer(int layer, ConvMode mode) const {
  const Layer& l = network_.layer(layer);
  const int input = network_.at(l.node).inputs[0];
  PreparedLayer prepared;
  prepared.kernel = kernels_(conv_problem(network_, l, tile_, nonnegative_[static_cast<std::size_t>(input)]), mode,
                             l.params.multiplier);
  prepared.packed = AlignedBuffer(prepared.kernel->packed_bytes());
  pack(l, prepared);
  return prepared;
}

void HostSession::pack(const Layer& layer, PreparedLayer& prepared) const {
  const AlignedBuffer scratch(prepared.kernel->scratch_bytes());
  if (layer.params.bits == kHalfBits) {
    prepared.kernel->pack(half_filter(layer, layer.params).data(), prepared.packed.data(), scratch.data());
  } else {
    prepared.kernel->pack(layer.params.codes.data(), prepared.packed.data(), scratch.data());
  }
  prepared.bias = layer.params.bias;
}

void HostSession::set_layer(int layer, const LayerParams& params) {
  Layer& l = network_.layer(layer);
  const bool same_kernel = params.multiplier == l.params.multiplier;
  l.params = params;
  PreparedLayer& prepared = layers_[static_cast<std::size_t>(layer)];
  if (same_kernel) {
    pack(l, prepared);
  } else {
    prepared = prepare_layer(layer, ConvMode::codes);
  }
}

ImagesHandle HostSession::upload(const ImageSet& images) {
  return std::make_shared<HostImages>(network_, images, tile_);
}

Evaluation HostSession::evaluate(const ImagesHandle& handle) {
  const auto& images = dynamic_cast<const HostImages&>(*handle);
  const TileProgram program(network_, layers_, all_nodes(network_), {0}, {network_.output}, tile_);
  std::vector<TileContext> contexts = make_contexts(program, threads_);
  std::vector<Evaluation> partial(static_cast<std::size_t>(threads_));
  Evaluation total;
  if (images.reconstructs()) {
    total.errors.resize(static_cast<std::size_t>(images.count()));
  } else {
    total.predicted.resize(static_cast<std::size_t>(images.count()));
  }
  parallel_for(threads_, images.tiles(), [&](int thread, std::int64_t tile) {
    TileContext& context = contexts[static_cast<std::size_t>(thread)];
    program.set_external(context, 0, images.tile_bytes(tile));
    program.run(context);
    const std::byte* output = program.output(context, network_.output);
    std::vector<float> buffer;
    for (std::int64_t i = 0; i < images.images_in(tile); ++i) {
      const std::int64_t image = tile * tile_ + i;
      const float* outputs = image_logits(network_, output, i, buffer);
      if (images.reconstructs()) {
        total.errors[static_cast<std::size_t>(image)] = images.error(image, outputs);
      } else {
        total.predicted[static_cast<std::size_t>(image)] =
            images.evaluate(image, outputs, partial[static_cast<std::size_t>(thread)]);
      }
    }
  });
  for (const Evaluation& part : partial) {
    total.correct += part.correct;
    total.cross_entropy += part.cross_entropy;
    total.kl += part.kl;
  }
  return total;
}

std::vector<double> HostSession::accumulator_means(int layer, const ImagesHandle& handle) {
  const auto& images = dynamic_cast<const HostImages&>(*handle);
  if (network_.half()) return half_accumulator_means(layer, images);
  const Layer& l = network_.layer(layer);
  const LayerPlan plan = make_layer_plan(network_, layer);
  const int input = network_.at(l.node).inputs[0];
  const TileProgram program(network_, layers_, plan.prefix, {0}, plan.cut, tile_);
  std::vector<TileContext> contexts = make_contexts(program, threads_);
  const PreparedLayer accumulate = prepare_layer(layer, ConvMode::accumulator);

  const std::int64_t positions = l.out.h * l.out.w, channels = l.out.c;
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads_),
                                              std::vector<std::int64_t>(static_cast<std::size_t>(channels)));
  parallel_for(threads_, images.tiles(), [&](int thread, std::int64_t tile) {
    TileContext& context = contexts[static_cast<std::size_t>(thread)];
    program.set_external(context, 0, images.tile_bytes(tile));
    program.run(context);
    const AlignedBuffer scratch(accumulate.kernel->scratch_bytes());
    const AlignedBuffer output(static_cast<std::size_t>(tile_ * positions * channels) * sizeof(std::int32_t));
    accumulate.kernel->run(program.output(context, input), accumulate.packed.data(), accumulate.bias.data(),
                           output.data(), scratch.data());
    const auto* acc = reinterpret_cast<const std::int32_t*>(output.data());
    auto& sum = sums[static_cast<std::size_t>(thread)];
    for (std::int64_t p = 0; p < images.images_in(tile) * positions; ++p) {
      for (std::int64_t k = 0; k < channels; ++k) sum[static_cast<std::size_t>(k)] += acc[p * channels + k];
    }
  });
  std::vector<double> means(static_cast<std::size_t>(channels));
  for (std::size_t k = 0; k < means.size(); ++k) {
    std::int64_t sum = 0;
    for (const auto& part : sums) sum += part[k];
    means[k] = static_cast<double>(sum) / static_cast<double>(images.count() * positions);
  }
  return means;
}

/// From sums of inputs, which are exact in any order, as those of products in fp32 are not.
std::vector<double> HostSession::half_accumulator_means(int layer, const HostImages& images) const {
  const Layer& l = network_.layer(layer);
  const LayerPlan plan = make_layer_plan(network_, layer);
  const TileProgram program(network_, layers_, plan.prefix, {0}, plan.cut, tile_);
  std::vector<TileContext> contexts = make_contexts(program, threads_);
  const auto taps = static_cast<std::size_t>(l.conv.groups * l.filter.taps());
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads_), std::vector<std::int64_t>(taps));
  parallel_for(threads_, images.tiles(), [&](int thread, std::int64_t tile) {
    TileContext& context = contexts[static_cast<std::size_t>(thread)];
    program.set_external(context, 0, images.tile_bytes(tile));
    program.run(context);
    auto& sum = sums[static_cast<std::size_t>(thread)];
    const auto* x = reinterpret_cast<const Half*>(program.output(context, network_.at(l.node).inputs[0]));
    const TapSums<Half> op{x, nullptr, l.in, l.out, l.filter, l.conv};
    for (std::int64_t i = 0; i < images.images_in(tile) * op.taps(); ++i) {
      sum[static_cast<std::size_t>(i) % taps] += op(i);
    }
  });
  for (const auto& part : std::span(sums).subspan(1)) {
    std::transform(part.begin(), part.end(), sums[0].begin(), sums[0].begin(), std::plus<>{});
  }
  return means_of_tap_sums(network_, l, sums[0], images.count() * l.out.h * l.out.w);
}

void HostSession::visit_tensors(const ImagesHandle& handle, const TensorVisitor& visitor) {
  const auto& images = dynamic_cast<const HostImages&>(*handle);
  const std::vector<int> nodes = all_nodes(network_);
  const TileProgram program(network_, layers_, nodes, {0}, nodes, tile_);
  TileContext context = program.make_context();
  std::vector<std::vector<std::uint8_t>> tensors(nodes.size());
  for (std::int64_t tile = 0; tile < images.tiles(); ++tile) {
    stop_point();
    program.set_external(context, 0, images.tile_bytes(tile));
    program.run(context);
    for (int i : nodes) {
      const std::int64_t bytes = images.images_in(tile) * network_.at(i).shape.size() * network_.element_bytes(i);
      const auto* data = reinterpret_cast<const std::uint8_t*>(program.output(context, i));
      auto& tensor = tensors[static_cast<std::size_t>(i)];
      tensor.insert(tensor.end(), data, data + bytes);
    }
  }
  for (int i : nodes) visitor(i, tensors[static_cast<std::size_t>(i)]);
}

std::unique_ptr<LayerSearch> HostSession::prepare(int layer, const ImagesHandle& handle,
                                                  const PopulationOptions& options,
                                                  std::span<const std::int16_t> residual_targets) {
  const auto images = std::dynamic_pointer_cast<const HostImages>(handle);
  require(images != nullptr, ErrorKind::internal, "the image set belongs to another backend");
  images->check(options.fitness);
  return std::make_unique<HostLayerSearch>(network_, layers_, layer, images, options, residual_targets, threads_);
}

GramSums HostSession::gram_sums(int layer, const ImagesHandle& handle, const LayerTargets& targets) {
  require_codes(network_);
  const auto& images = dynamic_cast<const HostImages&>(*handle);
  const Layer& l = network_.layer(layer);
  const auto input = static_cast<std::size_t>(network_.at(l.node).inputs[0]);
  return qnudge::gram_sums(network_, l, sample_rows(network_, layers_, layer, images, targets, threads_), targets,
                           !nonnegative_[input], kernels_ == make_best_kernel ? vendor_product : plain_product,
                           threads_);
}

std::unique_ptr<LayerSearch> HostSession::prepare_channels(int layer, const ImagesHandle& handle,
                                                           const LayerTargets& targets, const ChannelOptions& options,
                                                           std::span<const std::int16_t> residual_targets) {
  require_codes(network_);
  const auto& images = dynamic_cast<const HostImages&>(*handle);
  const auto input = static_cast<std::size_t>(network_.at(network_.layer(layer).node).inputs[0]);
  return std::make_unique<HostChannelSearch>(network_, layer, kernels_,
                                             sample_rows(network_, layers_, layer, images, targets, threads_),
                                             !nonnegative_[input], targets, options, residual_targets, threads_);
}

std::unique_ptr<LayerSearch> HostSession::prepare_gram(int layer, GramForm form, const GramOptions& options) {
  require_codes(network_);
  return std::make_unique<HostGramSearch>(network_, layer, std::move(form), options, threads_);
}

}  // namespace qnudge
