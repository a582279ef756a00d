// SPDX-License-Identifier: MIT
#include "layer_fit.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

/// 1 first, then ever farther from it on both sides, a quarter octave apart.
std::vector<double> scale_factors(std::int64_t count) {
  constexpr double kQuarters[] = {1.0, 1.189207115002721, 1.4142135623730951, 1.681792830507429};
  std::vector<double> factors;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t away = i % 2 == 0 ? i / 2 : -(i + 1) / 2, quarter = (away % 4 + 4) % 4;
    factors.push_back(std::ldexp(kQuarters[quarter], static_cast<int>((away - quarter) / 4)));
  }
  return factors;
}

bool all_of(std::span<const std::uint8_t> flags) {
  return std::all_of(flags.begin(), flags.end(), [](std::uint8_t flag) { return flag != 0; });
}

}  // namespace

LayerFit::LayerFit(const Config& config, const Prepared& prepared, Session& session, ImagesHandle calibration,
                   Note note)
    : config_(config),
      prepared_(prepared),
      session_(session),
      calibration_(std::move(calibration)),
      note_(std::move(note)) {}

std::optional<LayerFit::Form> LayerFit::form(int layer, const LayerParams& params) {
  const Layer& l = prepared_.network.layer(layer);
  if (all_of(params.frozen)) {
    note_(fmt::format("layer '{}': every output channel is constant; there are no codes to fit", l.name));
    return std::nullopt;
  }
  const std::int64_t bytes = gram_bytes(l.filter, l.conv.groups), allowed = config_.search.gram_mib << 20;
  if (bytes > allowed) {
    note_(
        fmt::format("layer '{}': its Gram matrix would need {} MiB, more than search.gram_mib = {}; it keeps its "
                    "nearest codes and only its bias is corrected",
                    l.name, (bytes + (1 << 20) - 1) >> 20, config_.search.gram_mib));
    return std::nullopt;
  }
  const LayerTargets targets = layer_targets(prepared_, config_.seed, layer);
  Form result{session_.gram_sums(layer, calibration_, targets), {}, targets.exponent};
  if (result.sums.rows <= result.sums.taps) {
    note_(fmt::format("layer '{}': {} rows observed for {} weights per channel; damping decides what they leave open",
                      l.name, result.sums.rows, result.sums.taps));
  }
  result.form = make_gram_form(prepared_.network, l, params, result.sums, targets.exponent, config_.search.damping);
  if (std::all_of(result.form.h.begin(), result.form.h.end(), [](std::int32_t h) { return h == 0; })) {
    note_(
        fmt::format("layer '{}': its inputs are the same in all {} rows observed; it keeps its nearest codes and "
                    "only its bias is corrected",
                    l.name, result.sums.rows));
  }
  return result;
}

void LayerFit::refit(int layer, const Form& form, LayerParams& params) {
  refit_gain_and_bias(prepared_.network, prepared_.network.layer(layer), form.sums, form.form, form.target_exponent,
                      params);
  session_.set_layer(layer, params);
}

void LayerFit::descend(int layer, LayerParams& params) {
  const Layer& l = prepared_.network.layer(layer);
  const auto fit = l.tunable ? form(layer, params) : std::nullopt;
  if (!fit) {
    correct_bias(prepared_.network, l, prepared_.reference.channel_means[static_cast<std::size_t>(layer)],
                 session_.accumulator_means(layer, calibration_), params);
    return session_.set_layer(layer, params);
  }
  choose_codes(layer, *fit, params);
  refit(layer, *fit, params);
}

/// Every channel takes the scale at which descent from its nearest codes ends lowest.
void LayerFit::choose_codes(int layer, const Form& form, LayerParams& params) {
  const Layer& l = prepared_.network.layer(layer);
  const auto channels = static_cast<std::size_t>(l.filter.k), taps = static_cast<std::size_t>(l.filter.taps());
  const LayerParams own = params;
  GramOptions options = gram_options(config_);
  options.parents = 1;  // only descends
  std::vector<double> lowest(channels, std::numeric_limits<double>::infinity());
  for (const double factor : scale_factors(config_.search.scales)) {
    stop_point();
    LayerParams trial = own;
    if (factor != 1) rescale(l, factor, trial);
    session_.set_layer(layer, trial);
    const auto search = session_.prepare_gram(
        layer, make_gram_form(prepared_.network, l, trial, form.sums, form.target_exponent, config_.search.damping),
        options);
    search->start();
    const PopulationState state = search->save();
    for (std::size_t k = 0; k < channels; ++k) {
      const double step = static_cast<double>(trial.multiplier[k]);  // errors are in squares of it
      const double error = -static_cast<double>(state.fitness[k]) * step * step;
      if (error >= lowest[k]) continue;
      lowest[k] = error;
      params.multiplier[k] = trial.multiplier[k];
      params.scale[k] = trial.scale[k];
      std::copy_n(state.parents.begin() + static_cast<std::ptrdiff_t>(k * taps), taps,
                  params.codes.begin() + static_cast<std::ptrdiff_t>(k * taps));
    }
  }
}

}  // namespace qnudge
