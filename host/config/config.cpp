// SPDX-License-Identifier: MIT
#include "qnudge/config/config.hpp"

#include <algorithm>

#include "qnudge/core/files.hpp"
#include "table.hpp"

namespace qnudge {
namespace {
using nlohmann::json;

void check_files(const Source& source, const std::string& side, const std::vector<std::string>& images,
                 const std::string& labels, bool idx) {
  const std::string images_key = "data." + side + "_images";
  const std::string labels_key = "data." + side + "_labels";
  require(!idx || images.size() == 1, ErrorKind::usage, "{}: needs one file for the format idx, found {}",
          source.where(images_key), images.size());
  require(!idx || !labels.empty(), ErrorKind::usage, "{}: is missing; the format idx needs a file of labels",
          source.where(labels_key));
  require(idx || labels.empty(), ErrorKind::usage, "{}: cifar files hold their labels; leave it out",
          source.where(labels_key));
}

/// What no single key can say.
void check_consistency(const Config& config, const Source& source) {
  const DataConfig& data = config.data;
  check_files(source, "train", data.train_images, data.train_labels, data.format == "idx");
  check_files(source, "test", data.test_images, data.test_labels, data.format == "idx");
  require(data.mean.size() == data.std.size(), ErrorKind::usage,
          "{}: has {} values where data.mean has {}; give as many", source.where("data.std"), data.std.size(),
          data.mean.size());
  require(config.search.rate_end == 0 || config.search.strategy == "channel", ErrorKind::usage,
          "{}: strategy '{}' keeps its rate; only 'channel' lets it fall, leave it out",
          source.where("search.rate_end"), config.search.strategy);
  if (config.protocol == "paper") return;
  for (const std::string& file : data.test_images) {
    const auto& train = data.train_images;
    require(std::find(train.begin(), train.end(), file) == train.end(), ErrorKind::usage,
            "{}: {} is also a training file; the protocol held_out needs test images that the search never sees",
            source.where("data.test_images"), file);
  }
}

void fill_in(Config& config, const std::string& origin) {
  if (config.data.classes == 0) config.data.classes = config.data.format == "cifar100" ? 100 : 10;
  if (config.out.empty()) config.out = "runs/" + std::filesystem::path(origin).stem().string();
}

/// Visitor that writes the fields as JSON; without incidental keys on request.
class Writer {
 public:
  Writer(json& object, bool incidental) : object_(object), incidental_(incidental) { object_ = json::object(); }

  void choice(const Key& key, const std::string& field, std::initializer_list<const char*>) { put(key, field); }
  void path(const Key& key, const std::string& field) { put(key, field); }
  void paths(const Key& key, const std::vector<std::string>& field) { put(key, field); }
  void names(const Key& key, const std::vector<std::string>& field) { put(key, field); }
  void number(const Key& key, double field, double, double) { put(key, field); }
  void numbers(const Key& key, const std::vector<double>& field, double, double) { put(key, field); }
  void flag(const Key& key, bool field) { put(key, field); }
  template <class T>
  void integer(const Key& key, T field, std::type_identity_t<T>, std::type_identity_t<T>) {
    put(key, field);
  }
  template <class T>
  void object(const Key& key, T& field) {
    Writer child(object_[key.name], incidental_);
    describe(child, field);
  }
  template <class T>
  void objects(const Key& key, std::map<std::string, T>& field, const T&) {
    json& all = object_[key.name] = json::object();
    for (auto& [name, value] : field) {
      Writer child(all[name], incidental_);
      describe(child, value);
    }
  }

 private:
  template <class T>
  void put(const Key& key, const T& value) {
    if (incidental_ || key.role != Role::incidental) object_[key.name] = value;
  }

  json& object_;
  bool incidental_;
};

json to_json(Config config, bool incidental) {
  json object;
  Writer writer(object, incidental);
  describe(writer, config);
  return object;
}

/// Never throws: a config file's name, which names the run folder, need not be UTF-8.
std::string dumped(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

/// Visitor that lists the keys for the documentation.
class Lister {
 public:
  Lister(std::vector<ConfigKey>& keys, std::string prefix) : keys_(keys), prefix_(std::move(prefix)) {}

  void choice(const Key& key, const std::string& field, std::initializer_list<const char*> values) {
    add(key, "string", json(field).dump(), fmt::format("\"{}\"", fmt::join(values, "\", \"")));
  }
  void path(const Key& key, const std::string& field) { add(key, "path", json(field).dump(), ""); }
  void paths(const Key& key, const std::vector<std::string>&) { add(key, "path or list of paths", "[]", ""); }
  void names(const Key& key, const std::vector<std::string>&) { add(key, "list of strings", "[]", ""); }
  void number(const Key& key, double field, double min, double max) {
    add(key, "number", fmt::format("{}", field), fmt::format("{}..{}", min, max));
  }
  void numbers(const Key& key, const std::vector<double>&, double min, double max) {
    add(key, "list of numbers", "[]", fmt::format("{}..{}", min, max));
  }
  void flag(const Key& key, bool field) { add(key, "boolean", field ? "true" : "false", "true, false"); }
  template <class T>
  void integer(const Key& key, T field, std::type_identity_t<T> min, std::type_identity_t<T> max) {
    add(key, "integer", fmt::format("{}", field), fmt::format("{}..{}", min, max));
  }
  template <class T>
  void object(const Key& key, T& field) {
    Lister child(keys_, prefix_ + key.name + ".");
    describe(child, field);
  }
  template <class T>
  void objects(const Key& key, std::map<std::string, T>&, T base) {
    const std::string path = fmt::format("{}{}.<node>.", prefix_, key.name);
    const std::size_t first = keys_.size();
    Lister child(keys_, path);
    describe(child, base);
    for (std::size_t i = first; i < keys_.size(); ++i) keys_[i].fallback = "inherited";
  }

 private:
  void add(const Key& key, const char* type, std::string fallback, std::string range) {
    if (key.role == Role::required) fallback = "required";
    const char* note = key.role == Role::incidental ? " (outside the fingerprint)" : "";
    keys_.push_back({prefix_ + key.name, type, std::move(fallback), std::move(range), key.help + std::string(note)});
  }

  std::vector<ConfigKey>& keys_;
  std::string prefix_;
};

/// The text at `pointer`, empty if there is none: what is wrong with it, the reader says.
std::string text_at(const json& root, const char* pointer) {
  const json::json_pointer where(pointer);
  return root.contains(where) && root.at(where).is_string() ? root.at(where).get<std::string>() : "";
}

/// Defaults that depend on other keys.
SearchConfig search_defaults(const json& root) {
  const std::string recipe = text_at(root, "/recipe");
  SearchConfig search = recipe_search(recipe.empty() ? Config{}.recipe : recipe);
  if (text_at(root, "/stop/rule") == "budget") search.order = "sensitivity";  // the budget goes to the least sensitive
  return search;
}

}  // namespace

SearchConfig recipe_search(std::string_view recipe) {
  SearchConfig search;
  if (recipe == "paper") {
    search.strategy = "layer";
    search.order = "sensitivity";
    search.start = "nearest";
    search.rate = 0.02;
    search.offspring = 32;
    search.generations = 64;
  } else if (recipe == "channel") {
    search.strategy = "channel";
    search.start = "bias";
    search.mutation = "residual";
    search.rate = 0.02;
    search.offspring = 8;
    search.generations = 8;
  }
  return search;
}

Config config_of(const json& root, Source& source) {
  Config config;
  config.search = search_defaults(root);
  ObjectReader reader(root, "", source);
  describe(reader, config);
  reader.finish();
  require(source.missing.empty(), ErrorKind::usage, "{}: {} {} missing; configs/README.md describes every key",
          source.origin, fmt::join(source.missing, ", "), source.missing.size() == 1 ? "is" : "are");
  check_consistency(config, source);
  fill_in(config, source.origin);
  return config;
}

Config parse_config(std::string_view text, const std::string& origin, const std::vector<std::string>& overrides) {
  json root = parse_strict_json(text, origin);
  Source source{.origin = origin, .overrides = {}, .missing = {}};
  for (const std::string& assignment : overrides) apply_override(root, assignment, source);
  return config_of(root, source);
}

std::string read_command_file(const std::filesystem::path& path) {
  try {
    const std::vector<std::uint8_t> bytes = read_file(path);
    return {bytes.begin(), bytes.end()};
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, error.what());
  }
}

Config read_config(const std::filesystem::path& path, const std::vector<std::string>& overrides) {
  return parse_config(read_command_file(path), path.string(), overrides);
}

std::string resolved_json(const Config& config) {
  return dumped(to_json(config, true), 2) + "\n";
}

std::string result_fingerprint(const Config& config) {
  return Fingerprint().add("qnudge config 1").add(dumped(to_json(config, false), -1)).hex();
}

std::vector<ConfigKey> config_keys(std::string_view recipe) {
  std::vector<ConfigKey> keys;
  Config defaults;
  defaults.search = recipe_search(recipe);
  Lister lister(keys, "");
  describe(lister, defaults);
  return keys;
}

}  // namespace qnudge
