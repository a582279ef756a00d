// SPDX-License-Identifier: MIT
#include "device_rows.hpp"

#include "plain_run.hpp"
#include "qnudge/backend/layer_plan.hpp"

namespace qnudge::cuda {
namespace {

std::int64_t padded(std::int64_t count, std::int64_t to) {
  return (count + to - 1) / to * to;
}

}  // namespace

DeviceRows::DeviceRows(const DeviceNetwork& network, int layer, const DeviceImages& images, const LayerTargets& targets,
                       Order order, const EngineOptions& engine)
    : rows_(targets.rows()) {
  Device& device = network.device();
  const IntNetwork& n = network.description();
  const Layer& l = n.layer(layer);
  const bool lines = order == Order::taps_first;
  padded_taps_ = lines ? padded(l.filter.taps(), 4) : l.filter.taps();
  stride_ = padded(rows_, 16);
  const std::int64_t codes = l.conv.groups * padded_taps_ * (lines ? stride_ : rows_);
  codes_ = {device, static_cast<std::size_t>(codes), "the observed inputs"};
  positions_ = {device, std::span(targets.positions), "the observed positions"};
  values_ = {device, targets.values, "the targets"};
  if (targets.site.shortcut >= 0) {
    shortcut_ = {device, static_cast<std::size_t>(rows_ * l.out.c), "the observed shortcuts"};
  }
  sample(network, layer, images, targets, order, engine);
  error_ = channel_error(n, layer, targets, std::span(shortcut_.data(), shortcut_.size()));
  error_.target.target = values_.data();
}

void DeviceRows::sample(const DeviceNetwork& network, int layer, const DeviceImages& images,
                        const LayerTargets& targets, Order order, const EngineOptions& engine) {
  const IntNetwork& n = network.description();
  const Layer& l = n.layer(layer);
  const LayerPlan plan = make_layer_plan(n, layer);
  const int input = n.at(l.node).inputs.front(), shortcut = targets.site.shortcut;
  std::vector<int> kept{input};
  if (shortcut >= 0) kept.push_back(shortcut);
  const std::int64_t size = choose_chunk(n, plan.prefix, images.count(), plain_limits(network.device(), engine)).images;
  PlainRun run(network, {.nodes = plan.prefix, .external = {0}, .kept = kept, .images = size});
  Program program;
  for (const ImageChunk& chunk : image_chunks(images.count(), size)) {
    run.append(program, images, chunk.first);
    const std::int64_t first = chunk.first * targets.per_image, rows = size * targets.per_image;
    const bool lines = order == Order::taps_first;
    const SampleRows op{.x = run.codes(input),
                        .positions = positions_.data() + first,
                        .to = codes_.data() + first * (lines ? 1 : l.conv.groups * l.filter.taps()),
                        .in = l.in,
                        .out = l.out,
                        .filter = l.filter,
                        .conv = l.conv,
                        .rows = rows,
                        .per_image = targets.per_image,
                        .transposed = lines,
                        .padded_taps = padded_taps_,
                        .stride = stride_};
    program.add(0, ForEach{op, rows * op.width()});
    if (shortcut < 0) continue;
    program.add(
        0, ForEach{SampleShortcut{run.codes(shortcut), positions_.data() + first, shortcut_.data() + first * l.out.c,
                                  targets.per_image, l.out.h * l.out.w, l.out.c},
                   rows * l.out.c});
  }
  network.device().run(program);
  network.device().wait();  // the activations end with this function
}

GramSums device_gram_sums(const DeviceNetwork& network, int layer, const DeviceImages& images,
                          const LayerTargets& targets, const EngineOptions& engine) {
  constexpr std::int64_t kProductRows = 131056;  // what an int32 sum of products of bytes holds, a multiple of 16
  Device& device = network.device();
  const Layer& l = network.description().layer(layer);
  const DeviceRows rows(network, layer, images, targets, DeviceRows::Order::taps_first, engine);
  const std::int64_t taps = l.filter.taps(), groups = l.conv.groups, group_channels = l.filter.k / groups;
  const std::int64_t lines = rows.padded_taps(), channel_lines = padded(group_channels, 4), stride = rows.stride();
  const auto bytes = static_cast<std::size_t>(groups * channel_lines * stride);
  const DeviceArray<std::int8_t> high(device, bytes, "the targets"), low(device, bytes, "the targets");
  const DeviceArray<std::int8_t> ones(
      device,
      std::span<const std::int8_t>(std::vector<std::int8_t>(static_cast<std::size_t>(4 * stride), std::int8_t{1})),
      "a line of ones");
  // Per group: lines x lines inputs with inputs, lines x channels inputs with targets, sums of inputs and of targets.
  const auto products = [&](std::int64_t m, std::int64_t n) { return static_cast<std::size_t>(groups * m * n); };
  const DeviceArray<std::int64_t> xx(device, products(lines, lines), "the sums of products"),
      xt(device, products(channel_lines, lines), "the sums of products"), x(device, products(4, lines), "the sums"),
      t(device, products(4, channel_lines), "the sums");
  const DeviceArray<std::int32_t> partial(
      device, static_cast<std::size_t>(std::max(lines, channel_lines) * std::max(lines, std::int64_t{4})), "a product");

  Program program;
  program.add(0, ForEach{SplitTargets{rows.error().target, high.data(), low.data(), rows.rows(), l.filter.k, stride,
                                      group_channels, channel_lines},
                         rows.rows() * l.filter.k});
  for (std::int64_t first = 0; first < rows.rows(); first += kProductRows) {
    const std::int64_t depth = std::min(kProductRows, padded(rows.rows() - first, 16));
    const auto add = [&](const std::int8_t* a, std::int64_t m, const std::int8_t* b, std::int64_t n, std::int64_t* to,
                         std::int64_t factor) {
      program.add(0, ByteProduct{a + first, b + first, partial.data(), m, n, depth, stride});
      program.add(0, ForEach{AddScaled{partial.data(), to, factor}, m * n});
    };
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int8_t* const inputs = rows.codes() + g * lines * stride;
      add(inputs, lines, inputs, lines, xx.data() + g * lines * lines, 1);
      add(inputs, lines, ones.data(), 4, x.data() + g * 4 * lines, 1);
      for (const auto& [byte, factor] : {std::pair(&high, 256), std::pair(&low, 1)}) {
        const std::int8_t* const wanted = byte->data() + g * channel_lines * stride;
        add(inputs, lines, wanted, channel_lines, xt.data() + g * channel_lines * lines, factor);
        add(wanted, channel_lines, ones.data(), 4, t.data() + g * 4 * channel_lines, factor);
      }
    }
  }
  device.run(program);

  GramSums sums{.rows = rows.rows(),
                .groups = groups,
                .channels = l.filter.k,
                .taps = taps,
                .x = {},
                .xx = {},
                .t = {},
                .xt = {}};
  const auto take = [](const std::vector<std::int64_t>& from, std::int64_t begin, std::int64_t count,
                       std::vector<std::int64_t>& to) {
    to.insert(to.end(), from.begin() + begin, from.begin() + begin + count);
  };
  const std::vector<std::int64_t> all_xx = xx.get(), all_xt = xt.get(), all_x = x.get(), all_t = t.get();
  for (std::int64_t g = 0; g < groups; ++g) {
    take(all_x, g * 4 * lines, taps, sums.x);
    take(all_t, g * 4 * channel_lines, group_channels, sums.t);
    for (std::int64_t i = 0; i < taps; ++i) take(all_xx, (g * lines + i) * lines, taps, sums.xx);
    for (std::int64_t k = 0; k < group_channels; ++k) take(all_xt, (g * channel_lines + k) * lines, taps, sums.xt);
  }
  return sums;
}

}  // namespace qnudge::cuda
