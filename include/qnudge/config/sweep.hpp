// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "qnudge/config/config.hpp"

namespace qnudge {

/// One key of the config and the values that it takes, no two alike.
struct SweepAxis {
  std::string key;
  std::vector<nlohmann::json> values;
};

/// One combination of the axes' values.
struct SweepRun {
  std::string name;                ///< folder below the sweep's: "quant.grid.bits=4,seed=1"; from the values alone
  std::vector<std::size_t> value;  ///< [axes] index into the axis's values
  Config config;                   ///< checked; `out` is the folder
};

/// A sweep file as read: what it asks for, before the combinations are drawn up.
struct SweepFile {
  std::string origin;                   ///< the file
  std::string base_origin;              ///< names the base config in messages
  nlohmann::json base;                  ///< a config's document, overrides applied
  std::vector<std::string> overridden;  ///< key paths that an override wrote
  std::vector<SweepAxis> axes;          ///< by key, "seed" last
  std::vector<nlohmann::json> exclude;  ///< objects: axis key -> list of values
  std::string out;                      ///< sweep folder
  std::uint64_t combinations = 0;       ///< of all axes, exclusions not yet taken away

  std::string value_text(std::size_t axis, std::size_t value) const;  ///< as people write it: strings unquoted
};

/// Most combinations that a sweep can have.
inline constexpr std::uint64_t kMostCombinations = 1'000'000;

/// Reads {"base", "axes", "exclude", "out"}: strict JSON. "base" is a config file or a config, "axes" an object of
/// lists by config key, "exclude" a list of objects that name some axes with a value or a list of values: combinations
/// that match one of them in every key are left out. `overrides` ("key=value") go into the base; `out`, unless empty,
/// replaces the sweep's own. Throws Error(kind
/// usage): unknown keys with a suggestion, empty lists, values that appear twice, exclusions of what is on no axis,
/// more than kMostCombinations.
SweepFile read_sweep(const std::filesystem::path& path, const std::vector<std::string>& overrides = {},
                     const std::string& out = {});

/// All runs, the last axis fastest. Throws Error(kind usage): a combination that is no valid config, two that are the
/// same run, none left.
std::vector<SweepRun> sweep_runs(const SweepFile& sweep);

}  // namespace qnudge
