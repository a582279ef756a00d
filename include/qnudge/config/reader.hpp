// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "qnudge/config/config.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {

/// The text of a file that is the user's command, not data: Error(kind usage) where it cannot be read.
std::string read_command_file(const std::filesystem::path& path);

/// Strict JSON: UTF-8 without a byte order mark, no comments, no duplicate keys, at most 64 levels.
/// Throws Error(kind usage): origin, line and column, what is wrong.
nlohmann::json parse_strict_json(std::string_view text, const std::string& origin);

enum class Role {
  optional,    ///< may be missing; the default stands in the struct
  required,    ///< must be given
  incidental,  ///< optional and outside the fingerprint: how fast, where or how long
};

/// One key of the table in host/config/table.hpp.
struct Key {
  const char* name;
  Role role;
  const char* help;
};

/// Where values come from, for messages; shared by the readers of one document.
struct Source {
  /// A key path that something other than the document has written.
  struct Override {
    std::string path, by;  ///< in messages "--set " goes before the path, "--out" stands for it
  };
  std::string origin;                ///< names the document, e.g. its file
  std::vector<Override> overrides;   ///< the last one for a path counts
  std::vector<std::string> missing;  ///< required keys that were not found

  /// "run.json: search.rate", or "--set search.rate" where an override wrote the value.
  std::string where(const std::string& path) const;
};

/// Writes `assignment` ("key.path=value") into `root`, creating objects on the way, and notes it in `source`. A value
/// that is JSON is taken as JSON, any other as a string. Below quant.layers everything up to the last dot is the node's
/// name. Throws Error(kind usage).
void apply_override(nlohmann::json& root, const std::string& assignment, Source& source);

/// The same for a value that is JSON already; `by` as in Source::Override.
void assign_key(nlohmann::json& root, const std::string& path, const nlohmann::json& value, const std::string& by,
                Source& source);

/// The config that `root`, a document read by parse_strict_json, describes. Throws Error(kind usage).
Config config_of(const nlohmann::json& root, Source& source);

/// "did you mean 'bits'?" for an unknown key, or what is known where nothing is close.
std::string suggestion(const std::string& key, const std::vector<std::string>& known);

/// Reads one JSON object into a struct. `describe(reader, field)` names every key once, with range and help; `finish`
/// refuses the keys it did not name. Missing required keys are collected in `source`, so that a misspelt key is
/// reported as such. Every member throws Error(kind usage): key, what is needed, what was found.
class ObjectReader {
 public:
  /// `path` is the key path of `object`; empty for the document.
  ObjectReader(const nlohmann::json& object, std::string path, Source& source);

  void choice(const Key& key, std::string& field, std::initializer_list<const char*> values);
  void path(const Key& key, std::string& field);                ///< expands ${NAME}
  void paths(const Key& key, std::vector<std::string>& field);  ///< a path or a list of paths
  void name(const Key& key, std::string& field);
  void names(const Key& key, std::vector<std::string>& field);
  void number(const Key& key, double& field, double min, double max);
  void numbers(const Key& key, std::vector<double>& field, double min, double max);
  void flag(const Key& key, bool& field);
  void raw(const Key& key, const nlohmann::json*& field);  ///< whatever it is; left alone if missing

  template <class T>
  void integer(const Key& key, T& field, std::type_identity_t<T> min, std::type_identity_t<T> max) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return;
    const std::string needed = fmt::format("an integer in {}..{}", min, max);
    check_integer(key, *value, needed);
    const bool inside = value->is_number_unsigned() ? in_range(value->get<std::uint64_t>(), min, max)
                                                    : in_range(value->get<std::int64_t>(), min, max);
    if (!inside) refuse(child_path(key.name), needed, *value);
    field = value->get<T>();
  }

  template <class T>
  void object(const Key& key, T& field) {
    const nlohmann::json* value = find(key);
    static const nlohmann::json empty = nlohmann::json::object();
    ObjectReader child(value == nullptr ? empty : *value, child_path(key.name), source_);
    describe(child, field);
    child.finish();
  }

  /// Objects by name, each a copy of `base` with some keys replaced.
  template <class T>
  void objects(const Key& key, std::map<std::string, T>& field, const T& base) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_object()) refuse(child_path(key.name), "an object", *value);
    for (const auto& [name, entry] : value->items()) {
      check_text(child_path(key.name), name);
      ObjectReader child(entry, child_path(key.name) + "." + name, source_);
      describe(child, field[name] = base);
      child.finish();
    }
  }

  /// Throws if the object holds a key that nobody asked for; suggests the closest known one.
  void finish() const;

 private:
  template <class V, class T>
  static bool in_range(V value, T min, T max) {
    return std::cmp_greater_equal(value, min) && std::cmp_less_equal(value, max);
  }

  const nlohmann::json* find(const Key& key);  ///< nullptr if missing
  std::string child_path(const std::string& name) const { return path_.empty() ? name : path_ + "." + name; }
  void check_integer(const Key& key, const nlohmann::json& value, const std::string& needed) const;
  double finite_number(const std::string& path, const nlohmann::json& value, double min, double max) const;
  std::string expanded(const std::string& path, const nlohmann::json& value) const;
  std::string text(const std::string& path, const nlohmann::json& value) const;
  void check_text(const std::string& path, const std::string& value) const;
  [[noreturn]] void refuse(const std::string& path, const std::string& needed, const nlohmann::json& found) const;

  const nlohmann::json& object_;
  std::string path_;
  Source& source_;
  std::vector<std::string> known_;
};

}  // namespace qnudge
