// SPDX-License-Identifier: MIT
#include "session.hpp"

#include <numeric>

#include "channel_search.hpp"
#include "device_rows.hpp"
#include "gram_search.hpp"
#include "layer_search.hpp"
#include "plain_run.hpp"
#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/backend/tap_sums.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::vector<int> all_nodes(const IntNetwork& network) {
  std::vector<int> nodes(network.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

}  // namespace

EngineSession::EngineSession(std::shared_ptr<Device> device, const EngineOptions& options, const IntNetwork& network)
    : device_(std::move(device)), options_(options), network_(*device_, network) {}

const DeviceImages& EngineSession::images_of(const ImagesHandle& handle) const {
  const auto* images = dynamic_cast<const DeviceImages*>(handle.get());
  require(images != nullptr, ErrorKind::internal, "the image set belongs to another backend");
  return *images;
}

ImagesHandle EngineSession::upload(const ImageSet& images) {
  return std::make_shared<DeviceImages>(*device_, network_.description(), images);
}

Evaluation EngineSession::evaluate(const ImagesHandle& handle) {
  const DeviceImages& images = images_of(handle);
  const IntNetwork& n = network_.description();
  const std::int64_t size = choose_chunk(n, all_nodes(n), images.count(), plain_limits(*device_, options_)).images;
  PlainRun run(network_, {.nodes = all_nodes(n), .external = {0}, .kept = {n.output}, .images = size});
  const auto count = static_cast<std::size_t>(images.count());
  const DeviceArray<std::int32_t> predicted(*device_, count, "the predictions");
  const DeviceArray<std::int64_t> cross_entropy(*device_, count, "the losses"), kl(*device_, count, "the losses"),
      errors(*device_, images.reconstructs() ? count : 0, "the errors");
  Program program;
  for (const ImageChunk& chunk : image_chunks(images.count(), size)) {
    run.append(program, images, chunk.first);
    program.add(0, Evaluate{EvaluateImages{run.nodes().logits(run.table()), images.scoring(chunk.first),
                                           error_steps_per_unit(n.nodes.front().exponent), errors.data() + chunk.first,
                                           predicted.data() + chunk.first, cross_entropy.data() + chunk.first,
                                           kl.data() + chunk.first},
                            size});
  }
  device_->run(program);
  Evaluation total;
  if (images.reconstructs()) {
    total.errors = errors.get();
    return total;
  }
  total.predicted = predicted.get();
  total.cross_entropy = device_->sum(cross_entropy.data(), images.count());
  total.kl = device_->sum(kl.data(), images.count());
  const std::vector<std::int32_t> labels = images.labels();
  for (std::size_t i = 0; i < count; ++i) total.correct += total.predicted[i] == labels[i] ? 1 : 0;
  return total;
}

std::vector<double> EngineSession::accumulator_means(int layer, const ImagesHandle& handle) {
  const DeviceImages& images = images_of(handle);
  const IntNetwork& n = network_.description();
  const Layer& l = n.layer(layer);
  const LayerPlan plan = make_layer_plan(n, layer);
  const int input = n.at(l.node).inputs[0];
  const std::int64_t size = choose_chunk(n, plan.prefix, images.count(), plain_limits(*device_, options_)).images;
  PlainRun run(network_, {.nodes = plan.prefix, .external = {0}, .kept = {input}, .images = size});
  const std::int64_t taps = l.conv.groups * l.filter.taps();
  const DeviceArray<std::int64_t> sums(*device_, static_cast<std::size_t>(taps), "the sums of inputs");
  Program program;
  for (const ImageChunk& chunk : image_chunks(images.count(), size)) {
    run.append(program, images, chunk.first);
    const auto sum = [&]<class T>(const T* x) {
      return SumTaps{TapSums<T>{x + chunk.skip * l.in.size(), sums.data(), l.in, l.out, l.filter, l.conv},
                     size - chunk.skip};
    };
    const std::byte* x = run.nodes().tensor(run.table(), input);
    program.add(0, n.half() ? sum(reinterpret_cast<const Half*>(x)) : sum(reinterpret_cast<const std::int8_t*>(x)));
  }
  device_->run(program);
  return means_of_tap_sums(n, l, sums.get(), images.count() * l.out.h * l.out.w);
}

void EngineSession::visit_tensors(const ImagesHandle& handle, const TensorVisitor& visitor) {
  const DeviceImages& images = images_of(handle);
  const IntNetwork& n = network_.description();
  const std::vector<int> nodes = all_nodes(n);
  const std::int64_t size =
      std::min<std::int64_t>(images.count(), options_.images_per_chunk > 0 ? options_.images_per_chunk : 8);
  PlainRun run(network_, {.nodes = nodes, .external = {0}, .kept = nodes, .images = size});
  std::vector<std::vector<std::uint8_t>> tensors(nodes.size());
  for (const ImageChunk& chunk : image_chunks(images.count(), size)) {
    Program program;
    run.append(program, images, chunk.first);
    device_->run(program);
    for (int i : nodes) {
      const std::int64_t bytes = n.at(i).shape.size() * n.element_bytes(i);
      std::vector<std::uint8_t> part(static_cast<std::size_t>((size - chunk.skip) * bytes));
      device_->download(part.data(), run.nodes().tensor(run.table(), i) + chunk.skip * bytes, part.size());
      auto& tensor = tensors[static_cast<std::size_t>(i)];
      tensor.insert(tensor.end(), part.begin(), part.end());
    }
  }
  for (int i : nodes) visitor(i, tensors[static_cast<std::size_t>(i)]);
}

std::unique_ptr<LayerSearch> EngineSession::prepare(int layer, const ImagesHandle& handle,
                                                    const PopulationOptions& options,
                                                    std::span<const std::int16_t> residual_targets) {
  images_of(handle).check(options.fitness);
  return std::make_unique<EngineSearch>(network_, layer, std::dynamic_pointer_cast<const DeviceImages>(handle), options,
                                        residual_targets, options_);
}

GramSums EngineSession::gram_sums(int layer, const ImagesHandle& handle, const LayerTargets& targets) {
  require_codes(network_.description());
  return device_gram_sums(network_, layer, images_of(handle), targets, options_);
}

std::unique_ptr<LayerSearch> EngineSession::prepare_channels(int layer, const ImagesHandle& handle,
                                                             const LayerTargets& targets, const ChannelOptions& options,
                                                             std::span<const std::int16_t> residual_targets) {
  require_codes(network_.description());
  return std::make_unique<EngineChannelSearch>(network_, layer, images_of(handle), targets, options, residual_targets,
                                               options_);
}

std::unique_ptr<LayerSearch> EngineSession::prepare_gram(int layer, GramForm form, const GramOptions& options) {
  require_codes(network_.description());
  return std::make_unique<EngineGramSearch>(network_, layer, form, options);
}

}  // namespace qnudge::cuda
