// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "qnudge/quant/quantise.hpp"
#include "qnudge/quant/targets.hpp"

namespace qnudge {

/// All that is float, computed once before the search. Given the same reference and seed, every backend, thread count
/// and machine gives the same bytes.
struct Reference {
  std::vector<int> exponents;                      ///< [integer nodes]
  std::vector<std::int32_t> constant_layers;       ///< those with Layer::constant, ascending
  std::vector<std::vector<double>> channel_means;  ///< [layers][K] of the float value before ReLU, calibration set
  struct Set {
    std::vector<std::int32_t> logits;     ///< [n, outputs] Q16 (core/fixed_point.hpp); empty for the test set
    std::vector<std::int32_t> predicted;  ///< [n] class, ties to the lower
    std::int64_t correct = 0;
    std::vector<std::int64_t> errors;  ///< [n] of series: reconstruction errors; all else is empty then
    std::int64_t cross_entropy = 0;    ///< Q16, summed over the labels
  };
  Set fitness, gate, test;
  Set threshold;        ///< of series
  TargetTable targets;  ///< their values stand in a file of their own; only for what needs them
  std::string inputs;   ///< fingerprint of model, data, splits and options that it was computed from

  std::string fingerprint() const;  ///< of the whole reference
};

/// Sealed CBOR (core/files.hpp). `load_reference` throws Error(kind input) for anything cut, corrupted or inconsistent.
void save_reference(const Reference& reference, const std::filesystem::path& path);
Reference load_reference(const std::filesystem::path& path);

}  // namespace qnudge
