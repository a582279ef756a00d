// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/search/setup.hpp"

namespace qnudge {

/// Least squares of one layer after another against the float model's targets, inputs from the network as the session
/// holds it.
class LayerFit {
 public:
  using Note = std::function<void(const std::string&)>;
  /// `prepared` has targets; all references outlive this.
  LayerFit(const Config& config, const Prepared& prepared, Session& session, ImagesHandle calibration, Note note);

  /// One layer's quadratic form with the sums behind it.
  struct Form {
    GramSums sums;
    GramForm form;
    int target_exponent = 0;
  };
  /// Nothing, with a note, for a layer whose matrix would need more memory than the config allows.
  std::optional<Form> form(int layer, const LayerParams& params);
  /// Gain and bias of `params`, whose codes have been chosen; the session takes them over.
  void refit(int layer, const Form& form, LayerParams& params);
  /// Start "descent" of one layer: codes by descent, then gain and bias; only the bias where there is no form.
  void descend(int layer, LayerParams& params);

 private:
  void choose_codes(int layer, const Form& form, LayerParams& params);

  const Config& config_;
  const Prepared& prepared_;
  Session& session_;
  const ImagesHandle calibration_;
  const Note note_;
};

}  // namespace qnudge
