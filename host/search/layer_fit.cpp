// SPDX-License-Identifier: MIT
#include "layer_fit.hpp"

#include "qnudge/core/error.hpp"

namespace qnudge {

LayerFit::LayerFit(const Config& config, const Prepared& prepared, Session& session, ImagesHandle calibration,
                   Note note)
    : config_(config),
      prepared_(prepared),
      session_(session),
      calibration_(std::move(calibration)),
      note_(std::move(note)) {}

std::optional<LayerFit::Form> LayerFit::form(int layer, const LayerParams& params) {
  const Layer& l = prepared_.network.layer(layer);
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
  const auto search = session_.prepare_gram(layer, fit->form, gram_options(config_));
  search->start();
  params.codes = search->save().parents;
  refit(layer, *fit, params);
}

}  // namespace qnudge
