// SPDX-License-Identifier: MIT
#include "sampled_rows.hpp"

#include <cstring>

#include "conv_shape.hpp"
#include "parallel.hpp"
#include "qnudge/backend/layer_plan.hpp"

namespace qnudge {
namespace {

/// Copies the taps of one output position, [groups, R, S, C], from one image [H, W, groups * C].
void gather_row(const ConvProblem& p, std::int64_t position, const std::int8_t* image, std::int8_t* row) {
  const std::int64_t oy = position / p.out.w, ox = position % p.out.w;
  const auto channels = static_cast<std::size_t>(p.filter.c);
  for (std::int64_t g = 0; g < p.conv.groups; ++g) {
    for (std::int64_t r = 0; r < p.filter.r; ++r) {
      const std::int64_t y = input_row(p, oy, r);
      for (std::int64_t s = 0; s < p.filter.s; ++s, row += channels) {
        const std::int64_t x = input_column(p, ox, s);
        if (y < 0 || x < 0) {
          std::memset(row, 0, channels);
        } else {
          std::memcpy(row, image + (y * p.in.w + x) * p.in.c + g * p.filter.c, channels);
        }
      }
    }
  }
}

}  // namespace

SampledRows sample_rows(const IntNetwork& network, const std::vector<PreparedLayer>& layers, int layer,
                        const HostImages& images, const LayerTargets& targets, int threads) {
  const Layer& l = network.layer(layer);
  const LayerPlan plan = make_layer_plan(network, layer);
  const int input = network.at(l.node).inputs.front();
  const TileProgram program(network, layers, plan.prefix, {0}, plan.cut, images.tile());
  std::vector<TileContext> contexts;
  for (int t = 0; t < threads; ++t) contexts.push_back(program.make_context());

  const ConvProblem problem = conv_problem(network, l, images.tile(), true);
  SampledRows sampled{
      .rows = targets.rows(), .groups = l.conv.groups, .taps = l.filter.taps(), .inputs = {}, .shortcut = {}};
  const std::int64_t width = sampled.groups * sampled.taps, channels = l.out.c;
  const std::int64_t padded = (sampled.rows + kRowBlock - 1) / kRowBlock * kRowBlock;
  sampled.inputs = AlignedBuffer(static_cast<std::size_t>(padded * width));
  const int shortcut = targets.site.shortcut;
  if (shortcut >= 0) sampled.shortcut.resize(static_cast<std::size_t>(sampled.rows * channels));
  auto* const inputs = reinterpret_cast<std::int8_t*>(sampled.inputs.data());
  std::memset(inputs + sampled.rows * width, 0, static_cast<std::size_t>((padded - sampled.rows) * width));

  parallel_for(threads, images.tiles(), [&](int thread, std::int64_t tile) {
    TileContext& context = contexts[static_cast<std::size_t>(thread)];
    program.set_external(context, 0, images.tile_bytes(tile));
    program.run(context);
    const auto* const x = reinterpret_cast<const std::int8_t*>(program.output(context, input));
    const std::int64_t first = tile * images.tile() * targets.per_image;
    for (std::int64_t i = 0; i < images.images_in(tile) * targets.per_image; ++i) {
      const std::int64_t row = first + i, image = i / targets.per_image;
      const std::int64_t position = targets.positions[static_cast<std::size_t>(row)];
      gather_row(problem, position, x + image * l.in.size(), inputs + row * width);
      if (shortcut < 0) continue;
      const auto* const codes = reinterpret_cast<const std::int8_t*>(program.output(context, shortcut));
      std::memcpy(sampled.shortcut.data() + row * channels, codes + image * l.out.size() + position * channels,
                  static_cast<std::size_t>(channels));
    }
  });
  return sampled;
}

}  // namespace qnudge
