// SPDX-License-Identifier: MIT
#include "engine_hints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

extern const char kEngineHints[];  // engine_hints.json

namespace {

using nlohmann::json;

constexpr std::array kRoles = {std::pair{ConvRole::single, "single"}, std::pair{ConvRole::wide, "wide"},
                               std::pair{ConvRole::shared, "shared"}};

const char* role_name(ConvRole role) {
  return std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& r) { return r.first == role; })->second;
}

ConvRole role_of(const std::string& name) {
  const auto found = std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& r) { return r.second == name; });
  require(found != kRoles.end(), ErrorKind::input, "role '{}'; it is single, wide or shared", name);
  return found->first;
}

HintKey key_of(const json& row) {
  const auto number = [&](const char* name) { return row.at(name).get<std::int64_t>(); };
  return {row.at("cudnn").get<std::size_t>(),
          row.at("architecture").get<int>(),
          role_of(row.at("role").get<std::string>()),
          number("c"),
          number("k"),
          number("r"),
          number("s"),
          number("pixels"),
          row.at("addition").get<bool>()};
}

EngineHint hint_of(const json& row) {
  EngineHint hint{{row.at("engine").get<std::int64_t>(), {}}, row.at("addition_apart").get<bool>()};
  for (const auto& [type, value] : row.at("knobs").items()) {
    Knob knob{0, value.get<std::int64_t>()};
    const auto [end, error] = std::from_chars(type.data(), type.data() + type.size(), knob.type);
    require(error == std::errc() && end == type.data() + type.size(), ErrorKind::input, "knob '{}'; it is a number",
            type);
    hint.choice.knobs.push_back(knob);
  }
  std::sort(hint.choice.knobs.begin(), hint.choice.knobs.end());
  return hint;
}

/// A range whose upper end may be null, for none.
std::pair<std::int64_t, std::int64_t> range_of(const json& range) {
  require(range.is_array() && range.size() == 2, ErrorKind::input, "range {}; it is two numbers", range.dump());
  return {range[0].get<std::int64_t>(),
          range[1].is_null() ? std::numeric_limits<std::int64_t>::max() : range[1].get<std::int64_t>()};
}

}  // namespace

HintKey hint_key(std::size_t cudnn, int architecture, const ConvTask& task) {
  const FilterShape& f = task.filter;
  return {
      cudnn, architecture, task.role, f.c, f.k, f.r, f.s, task.out.h * task.out.w, task.epilogue.addition.has_value()};
}

std::string hint_text(const EngineHint& hint) {
  return choice_text(hint.choice) + (hint.addition_apart ? ", the addition apart" : "");
}

std::string hint_json(const HintKey& key, const EngineHint& hint) {
  nlohmann::ordered_json knobs = nlohmann::ordered_json::object();
  for (const Knob& knob : hint.choice.knobs) knobs[std::to_string(knob.type)] = knob.value;
  return nlohmann::ordered_json{{"cudnn", key.cudnn},
                                {"architecture", key.architecture},
                                {"role", role_name(key.role)},
                                {"c", key.c},
                                {"k", key.k},
                                {"r", key.r},
                                {"s", key.s},
                                {"pixels", key.pixels},
                                {"addition", key.addition},
                                {"engine", hint.choice.engine},
                                {"knobs", knobs},
                                {"addition_apart", hint.addition_apart}}
      .dump();
}

EngineHints::EngineHints(std::string_view text) {
  try {
    const json table = json::parse(text);
    for (const json& row : table.at("measured")) measured_[key_of(row)] = hint_of(row);
    for (const json& row : table.at("defaults")) {
      const auto [c_low, c_high] = range_of(row.at("c"));
      const auto [k_low, k_high] = range_of(row.at("k"));
      Default d{row.at("cudnn").get<std::size_t>(),
                row.at("architecture").get<int>(),
                {},
                row.at("multiple").get<std::int64_t>(),
                c_low,
                c_high,
                k_low,
                k_high,
                {}};
      require(d.multiple > 0, ErrorKind::input, "multiple {}; it is positive", d.multiple);
      for (const json& role : row.at("roles")) d.roles.push_back(role_of(role.get<std::string>()));
      for (const json& value : row.at("values")) {
        d.choices.push_back(
            {row.at("engine").get<std::int64_t>(), {{row.at("knob").get<int>(), value.get<std::int64_t>()}}});
      }
      defaults_.push_back(std::move(d));
    }
  } catch (const std::exception& e) {
    fail(ErrorKind::input, "the table of engine hints: {}", e.what());
  }
}

const EngineHints& EngineHints::built_in() {
  static const EngineHints hints(kEngineHints);
  return hints;
}

std::vector<EngineHint> EngineHints::find(const HintKey& key) const {
  if (const auto found = measured_.find(key); found != measured_.end()) return {found->second};
  std::vector<EngineHint> hints;
  for (const Default& d : defaults_) {
    const bool suits = d.cudnn == key.cudnn && d.architecture == key.architecture &&
                       std::find(d.roles.begin(), d.roles.end(), key.role) != d.roles.end() &&
                       key.c % d.multiple == 0 && key.k % d.multiple == 0 && d.c_low <= key.c && key.c <= d.c_high &&
                       d.k_low <= key.k && key.k <= d.k_high;
    if (!suits) continue;
    for (const EngineChoice& choice : d.choices) hints.push_back({choice, false});
  }
  return hints;
}

}  // namespace qnudge::cuda
