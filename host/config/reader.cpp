// SPDX-License-Identifier: MIT
#include "qnudge/config/reader.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace qnudge {
namespace {
using nlohmann::json;

std::string quoted_list(const std::vector<std::string>& values) {
  std::string list;
  for (const std::string& value : values) list += (list.empty() ? "'" : ", '") + value + "'";
  return list;
}

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({replaced, row[j] + 1, row[j + 1] + 1}));
    }
  }
  return row.back();
}

constexpr std::size_t kLongestShown = 60;

/// A value as it may stand in a sentence: valid UTF-8, not too long.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);  // ASCII: may be cut anywhere
  if (text.size() > kLongestShown) text = text.substr(0, kLongestShown) + "...";
  return text;
}

bool is_name_char(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

std::string suggestion(const std::string& key, const std::vector<std::string>& known) {
  const auto distance = [&](const std::string& name) {
    const bool part =
        key.size() >= 3 && key.size() <= 64 && (name.find(key) != name.npos || key.find(name) != key.npos);
    return part ? 1 : edit_distance(std::string_view(key).substr(0, 64), name);
  };
  const auto closest = std::min_element(known.begin(), known.end(),
                                        [&](const auto& a, const auto& b) { return distance(a) < distance(b); });
  if (closest != known.end() &&
      distance(*closest) <= (closest->size() <= 3 ? 1 : std::max<std::size_t>(2, closest->size() / 3))) {
    return fmt::format("did you mean '{}'?", *closest);
  }
  return fmt::format("known here: {}", quoted_list(known));
}

ObjectReader::ObjectReader(const json& object, std::string path, Source& source)
    : object_(object), path_(std::move(path)), source_(source) {
  if (object.is_object()) return;
  require(!path_.empty(), ErrorKind::usage, "{}: needs a JSON object, found {}", source.origin, shown(object));
  refuse(path_, "an object", object);
}

void ObjectReader::choice(const Key& key, std::string& field, std::initializer_list<const char*> values) {
  const json* value = find(key);
  if (value == nullptr) return;
  std::vector<std::string> allowed;
  for (const char* name : values) allowed.push_back(fmt::format("\"{}\"", name));
  const bool known =
      value->is_string() && std::find(values.begin(), values.end(), value->get<std::string>()) != values.end();
  if (!known) {
    refuse(child_path(key.name), fmt::format("{}{}", allowed.size() > 1 ? "one of " : "", fmt::join(allowed, ", ")),
           *value);
  }
  field = value->get<std::string>();
}

void ObjectReader::path(const Key& key, std::string& field) {
  const json* value = find(key);
  if (value == nullptr) return;
  field = expanded(child_path(key.name), *value);
  if (field.empty() && key.role == Role::required) refuse(child_path(key.name), "a path", *value);
}

void ObjectReader::paths(const Key& key, std::vector<std::string>& field) {
  const json* value = find(key);
  if (value == nullptr) return;
  field.clear();
  const std::string path = child_path(key.name);
  if (value->is_string()) {
    field.push_back(expanded(path, *value));
  } else {
    if (!value->is_array()) refuse(path, "a path or a list of paths", *value);
    for (std::size_t i = 0; i < value->size(); ++i) {
      field.push_back(expanded(fmt::format("{}[{}]", path, i), (*value)[i]));
    }
  }
  const bool none = field.empty() && key.role == Role::required;
  if (none || std::find(field.begin(), field.end(), "") != field.end())
    refuse(path, "a path or a list of paths, none of them empty", *value);
}

void ObjectReader::name(const Key& key, std::string& field) {
  const json* value = find(key);
  if (value != nullptr) field = text(child_path(key.name), *value);
}

void ObjectReader::names(const Key& key, std::vector<std::string>& field) {
  const json* value = find(key);
  if (value == nullptr) return;
  field.clear();
  const std::string path = child_path(key.name);
  if (!value->is_array()) refuse(path, "a list of strings", *value);
  for (std::size_t i = 0; i < value->size(); ++i) field.push_back(text(fmt::format("{}[{}]", path, i), (*value)[i]));
}

void ObjectReader::number(const Key& key, double& field, double min, double max) {
  const json* value = find(key);
  if (value != nullptr) field = finite_number(child_path(key.name), *value, min, max);
}

void ObjectReader::numbers(const Key& key, std::vector<double>& field, double min, double max) {
  const json* value = find(key);
  if (value == nullptr) return;
  field.clear();
  const std::string path = child_path(key.name);
  if (!value->is_array()) refuse(path, "a list of numbers", *value);
  for (std::size_t i = 0; i < value->size(); ++i) {
    field.push_back(finite_number(fmt::format("{}[{}]", path, i), (*value)[i], min, max));
  }
}

void ObjectReader::flag(const Key& key, bool& field) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_boolean()) refuse(child_path(key.name), "true or false", *value);
  field = value->get<bool>();
}

void ObjectReader::raw(const Key& key, const json*& field) {
  if (const json* value = find(key)) field = value;
}

void ObjectReader::finish() const {
  for (const auto& [name, value] : object_.items()) {
    if (std::find(known_.begin(), known_.end(), name) != known_.end()) continue;
    check_text(child_path("?"), name);
    fail(ErrorKind::usage, "{}: unknown key; {}", source_.where(child_path(name.substr(0, kLongestShown))),
         suggestion(name, known_));
  }
}

const json* ObjectReader::find(const Key& key) {
  known_.emplace_back(key.name);
  const auto found = object_.find(key.name);
  if (found != object_.end()) return &*found;
  if (key.role == Role::required) source_.missing.push_back(child_path(key.name));
  return nullptr;
}

void ObjectReader::check_integer(const Key& key, const json& value, const std::string& needed) const {
  const bool written_as_real = value.is_number_float();
  if (written_as_real) refuse(child_path(key.name), needed + ", written without point or exponent", value);
  if (!value.is_number_integer()) refuse(child_path(key.name), needed, value);
}

double ObjectReader::finite_number(const std::string& path, const json& value, double min, double max) const {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= min && number <= max)) refuse(path, fmt::format("a number in {}..{}", min, max), value);
  return number;
}

std::string ObjectReader::expanded(const std::string& path, const json& value) const {
  std::string rest = text(path, value);
  std::string result;
  for (std::size_t at = rest.find("${"); at != rest.npos; at = rest.find("${")) {
    const std::size_t end = rest.find('}', at);
    const std::string name = end == rest.npos ? "" : rest.substr(at + 2, end - at - 2);
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_name_char)) {
      refuse(path, "a path where ${ is followed by a variable's name and }", value);
    }
    const char* variable = std::getenv(name.c_str());
    require(variable != nullptr && *variable != '\0', ErrorKind::usage,
            "{}: the environment variable {} is not set; set it or write the path out", source_.where(path), name);
    result += rest.substr(0, at) + variable;
    rest.erase(0, end + 1);
  }
  result += rest;
  check_text(path, result);
  if (result.find("${") != result.npos) refuse(path, "environment variables whose values hold no ${", value);
  return result;
}

std::string ObjectReader::text(const std::string& path, const json& value) const {
  if (!value.is_string()) refuse(path, "a string", value);
  check_text(path, value.get<std::string>());
  return value.get<std::string>();
}

void ObjectReader::check_text(const std::string& path, const std::string& value) const {
  const bool printable = std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < 32 || c == 127; });
  if (!printable) refuse(path, "text without control characters", value);
  try {
    static_cast<void>(json(value).dump());  // the library's own check of UTF-8
  } catch (const json::exception&) {
    refuse(path, "valid UTF-8", value);
  }
}

void ObjectReader::refuse(const std::string& path, const std::string& needed, const json& found) const {
  fail(ErrorKind::usage, "{}: needs {}, found {}", source_.where(path), needed, shown(found));
}

}  // namespace qnudge
