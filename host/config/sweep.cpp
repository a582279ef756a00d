// SPDX-License-Identifier: MIT
#include "qnudge/config/sweep.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "qnudge/config/reader.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {
using nlohmann::json;

constexpr std::size_t kLongestName = 120;  // of a run's folder; file systems allow 255 bytes

/// The document as far as one reader can tell; the rest is checked below.
struct Raw {
  const json* base = nullptr;
  const json* axes = nullptr;
  const json* exclude = nullptr;
  std::string out;
};

template <class Visitor>
void describe(Visitor& v, Raw& r) {
  using enum Role;
  v.raw({"base", required, "config file, or a config"}, r.base);
  v.raw({"axes", required, "lists of values by config key"}, r.axes);
  v.raw({"exclude", optional, "combinations that are left out"}, r.exclude);
  v.path({"out", optional, "sweep folder"}, r.out);
}

std::string shown(const json& value) {
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 60) + "..." : text;
}

/// "quant.layers.<node>.bits": any node, and the keys that follow it in the table.
bool names_a_layer_key(const std::string& key) {
  constexpr std::string_view kPrefix = "quant.layers.";
  constexpr std::array<std::string_view, 4> kKeys = {"bits", "scheme", "scale", "range"};
  const std::size_t dot = key.rfind('.');
  return key.starts_with(kPrefix) && dot > kPrefix.size() &&
         std::find(kKeys.begin(), kKeys.end(), key.substr(dot + 1)) != kKeys.end();
}

void check_axis_key(const std::string& where, const std::string& key) {
  require(key != "out", ErrorKind::usage, "{}: out: the sweep gives every run a folder of its own; leave it out",
          where);
  std::vector<std::string> known;
  for (const ConfigKey& entry : config_keys()) known.push_back(entry.path);
  if (names_a_layer_key(key) || std::find(known.begin(), known.end(), key) != known.end()) return;
  const std::string hint = suggestion(key, known);
  fail(ErrorKind::usage, "{}: '{}' is not a key of the config; {}", where, key.substr(0, 60),
       hint.starts_with("did you mean") ? hint : "configs/README.md lists them all");
}

SweepAxis axis_of(const std::string& where, const std::string& key, const json& values) {
  check_axis_key(where, key);
  require(values.is_array(), ErrorKind::usage, "{}: {}: needs a list of values, found {}", where, key, shown(values));
  require(!values.empty(), ErrorKind::usage, "{}: {}: the list is empty; give a value or leave the axis out", where,
          key);
  std::map<json, std::size_t> seen;
  for (const json& value : values) {
    require(seen.emplace(value, 0).second, ErrorKind::usage, "{}: {}: the value {} appears twice; keep one", where, key,
            shown(value));
  }
  return {key, values.get<std::vector<json>>()};
}

std::vector<SweepAxis> axes_of(const std::string& origin, const json& axes) {
  const std::string where = origin + ": axes";
  require(axes.is_object() && !axes.empty(), ErrorKind::usage,
          "{}: needs an object of lists, for example {{\"quant.grid.bits\": [3, 4], \"seed\": [1, 2, 3]}}, found {}",
          where, shown(axes));
  std::vector<SweepAxis> result;
  for (const auto& [key, values] : axes.items()) result.push_back(axis_of(where, key, values));
  std::stable_partition(result.begin(), result.end(), [](const SweepAxis& axis) { return axis.key != "seed"; });
  return result;
}

/// One exclusion with every value as a list.
json exclusion_of(const std::string& where, const json& exclusion, const std::vector<SweepAxis>& axes) {
  require(exclusion.is_object() && !exclusion.empty(), ErrorKind::usage,
          "{}: needs an object with values of some axes, found {}", where, shown(exclusion));
  json result = json::object();
  std::vector<std::string> keys;
  for (const SweepAxis& axis : axes) keys.push_back(axis.key);
  for (const auto& [key, value] : exclusion.items()) {
    const auto axis = std::find_if(axes.begin(), axes.end(), [&, k = key](const SweepAxis& a) { return a.key == k; });
    require(axis != axes.end(), ErrorKind::usage, "{}: '{}' is no axis; {}", where, key.substr(0, 60),
            suggestion(key, keys));
    const auto on_axis = [&](const json& v) {
      return std::find(axis->values.begin(), axis->values.end(), v) != axis->values.end();
    };
    result[key] = value.is_array() && !on_axis(value) ? value : json::array({value});
    require(!result[key].empty(), ErrorKind::usage, "{}: {}: the list is empty", where, key);
    for (const json& v : result[key]) {
      require(on_axis(v), ErrorKind::usage, "{}: {}: {} is not among the axis's values", where, key, shown(v));
    }
  }
  return result;
}

std::vector<json> exclusions_of(const std::string& origin, const json* exclude, const std::vector<SweepAxis>& axes) {
  std::vector<json> result;
  if (exclude == nullptr) return result;
  require(exclude->is_array(), ErrorKind::usage, "{}: exclude: needs a list of objects, found {}", origin,
          shown(*exclude));
  for (std::size_t i = 0; i < exclude->size(); ++i) {
    result.push_back(exclusion_of(fmt::format("{}: exclude[{}]", origin, i), (*exclude)[i], axes));
  }
  return result;
}

std::uint64_t count_combinations(const SweepFile& sweep) {
  std::uint64_t count = 1;
  for (const SweepAxis& axis : sweep.axes) {
    count *= axis.values.size();  // no overflow: below the limit times a list's length
    require(count <= kMostCombinations, ErrorKind::usage,
            "{}: axes: more than {} combinations; take values away, or split the sweep", sweep.origin,
            kMostCombinations);
  }
  return count;
}

/// The base as a document: of the file that it names, or as it stands.
void take_base(const json& base, const std::string& named, SweepFile& sweep) {
  sweep.base_origin = named.empty() ? sweep.origin + ": base" : named;
  sweep.base = named.empty() ? base : parse_strict_json(read_command_file(named), named);
  require(sweep.base.is_object(), ErrorKind::usage, "{}: needs {}, found {}", sweep.base_origin,
          named.empty() ? "the path of a config or a config" : "a JSON object", shown(sweep.base));
}

/// The path in `base`, variables expanded; empty for an inline config.
std::string base_path(const json& document, Source& source) {
  struct Only {
    std::string base;
  } only;
  if (!document.contains("base") || !document["base"].is_string()) return "";
  const json pick = {{"base", document["base"]}};
  ObjectReader reader(pick, "", source);
  reader.path({"base", Role::required, ""}, only.base);
  return only.base;
}

bool excluded(const SweepFile& sweep, const std::vector<std::size_t>& value) {
  return std::any_of(sweep.exclude.begin(), sweep.exclude.end(), [&](const json& exclusion) {
    for (std::size_t a = 0; a < sweep.axes.size(); ++a) {
      const auto listed = exclusion.find(sweep.axes[a].key);
      if (listed == exclusion.end()) continue;
      if (std::find(listed->begin(), listed->end(), sweep.axes[a].values[value[a]]) == listed->end()) return false;
    }
    return true;
  });
}

/// A folder's name; text that cannot stand there, or is long, is told apart by a fingerprint.
std::string run_name(const SweepFile& sweep, const std::vector<std::size_t>& value) {
  std::string text;
  for (std::size_t a = 0; a < value.size(); ++a) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ",", sweep.axes[a].key, sweep.value_text(a, value[a]));
  }
  std::string name = text.substr(0, kLongestName);
  for (char& c : name) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("._+-=,").find(c) != std::string_view::npos;
    if (!plain) c = '-';
  }
  return name == text ? name : name + "-" + Fingerprint().add(text).hex().substr(0, 8);
}

/// Of all that decides the result, the files by their names: nothing has been read yet.
std::string run_key(const Config& config) {
  const DataConfig& d = config.data;
  Fingerprint key;
  key.add(result_fingerprint(config)).add(config.model).add(d.train_labels).add(d.test_labels);
  for (const std::string& path : d.train_images) key.add(path);
  key.add("");
  for (const std::string& path : d.test_images) key.add(path);
  return key.hex();
}

Config run_config(const SweepFile& sweep, const std::vector<std::size_t>& value, const std::string& name) {
  json document = sweep.base;
  Source source{.origin = sweep.base_origin, .overrides = {}, .missing = {}};
  for (const std::string& path : sweep.overridden) source.overrides.push_back({path, "--set "});
  for (std::size_t a = 0; a < value.size(); ++a) {
    assign_key(document, sweep.axes[a].key, sweep.axes[a].values[value[a]], sweep.origin + ": axes: ", source);
  }
  document["out"] = "";  // the base's own may name a variable that is not set here
  Config config = config_of(document, source);
  config.out = (std::filesystem::path(sweep.out) / name).string();
  return config;
}

std::string default_out(const std::filesystem::path& file) {
  return (std::filesystem::path("runs") / file.stem()).string();
}

}  // namespace

std::string SweepFile::value_text(std::size_t axis, std::size_t value) const {
  const json& v = axes[axis].values[value];
  return v.is_string() ? v.get<std::string>() : v.dump(-1, ' ', false, json::error_handler_t::replace);
}

SweepFile read_sweep(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                     const std::string& out) {
  SweepFile sweep;
  sweep.origin = path.string();
  json document = parse_strict_json(read_command_file(path), sweep.origin);
  Source source{.origin = sweep.origin, .overrides = {}, .missing = {}};
  if (document.is_object()) {
    if (!out.empty()) assign_key(document, "out", out, "--out", source);
    if (!document.contains("out"))
      assign_key(document, "out", default_out(path), "--out (by default named after the sweep)", source);
  }
  Raw raw;
  ObjectReader reader(document, "", source);
  describe(reader, raw);
  reader.finish();
  require(source.missing.empty(), ErrorKind::usage,
          "{}: {} {} missing; a sweep has \"base\", \"axes\" and, if need be, \"exclude\" and \"out\"", sweep.origin,
          fmt::join(source.missing, ", "), source.missing.size() == 1 ? "is" : "are");

  take_base(*raw.base, base_path(document, source), sweep);
  sweep.axes = axes_of(sweep.origin, *raw.axes);
  sweep.exclude = exclusions_of(sweep.origin, raw.exclude, sweep.axes);
  sweep.out = raw.out.empty() ? default_out(path) : raw.out;
  sweep.combinations = count_combinations(sweep);
  for (const std::string& assignment : overrides) {
    const std::string key = assignment.substr(0, assignment.find('='));
    for (const SweepAxis& axis : sweep.axes) {
      require(axis.key != key, ErrorKind::usage, "--set {}: is an axis of {}; change it there", key, sweep.origin);
    }
    apply_override(sweep.base, assignment, source);
    sweep.overridden.push_back(source.overrides.back().path);
  }
  return sweep;
}

std::vector<SweepRun> sweep_runs(const SweepFile& sweep) {
  std::vector<SweepRun> runs;
  std::map<std::string, std::string> names;  // by fingerprint of what decides the result
  std::vector<std::size_t> value(sweep.axes.size(), 0);
  for (std::uint64_t i = 0; i < sweep.combinations; ++i) {
    std::uint64_t rest = i;
    for (std::size_t a = value.size(); a-- > 0; rest /= sweep.axes[a].values.size()) {
      value[a] = rest % sweep.axes[a].values.size();
    }
    if (excluded(sweep, value)) continue;
    const std::string name = run_name(sweep, value);
    runs.push_back({name, value, run_config(sweep, value, name)});
    const auto [same, fresh] = names.emplace(run_key(runs.back().config), name);
    require(fresh, ErrorKind::usage, "{}: the runs {} and {} would give the same result; exclude one of them",
            sweep.origin, same->second, name);
  }
  require(!runs.empty(), ErrorKind::usage, "{}: exclude: leaves no run", sweep.origin);
  return runs;
}

}  // namespace qnudge
