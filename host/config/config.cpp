// SPDX-License-Identifier: MIT
#include "qnudge/config/config.hpp"

#include <algorithm>

#include "qnudge/core/files.hpp"
#include "table.hpp"

namespace qnudge {
namespace {
using nlohmann::json;

void check_files(const Source& source, const std::string& format, const std::string& side,
                 const std::vector<std::string>& images, const std::string& labels) {
  const std::string images_key = "data." + side + "_images";
  const std::string labels_key = "data." + side + "_labels";
  const bool folder = format == "image_folder", cifar = format.starts_with("cifar");
  require(cifar || images.size() == 1, ErrorKind::usage, "{}: needs one {} for the format {}, found {}",
          source.where(images_key), folder ? "folder" : "file", format, images.size());
  require(cifar || folder || !labels.empty(), ErrorKind::usage, "{}: is missing; the format idx needs a file of labels",
          source.where(labels_key));
  require(!cifar || labels.empty(), ErrorKind::usage, "{}: {} files hold their labels; leave it out",
          source.where(labels_key), format);
}

void check_series_files(const Source& source, const DataConfig& data) {
  for (const auto& [key, labels] :
       {std::pair("data.train_labels", &data.train_labels), std::pair("data.test_labels", &data.test_labels)}) {
    require(labels->empty(), ErrorKind::usage, "{}: {} files hold their labels; leave it out", source.where(key),
            data.format);
  }
  require(data.test_from == "files" && !data.test_images.empty(), ErrorKind::usage,
          "{}: is missing; series need files for their test part", source.where("data.test_images"));
}

void check_scaling(const Source& source, const DataConfig& data) {
  require(!data.mean.empty(), ErrorKind::usage, "{}: needs a list of numbers, found []", source.where("data.mean"));
  require(data.mean.size() == data.std.size(), ErrorKind::usage,
          "{}: has {} values where data.mean has {}; give as many", source.where("data.std"), data.std.size(),
          data.mean.size());
  require(data.series == SeriesConfig{}, ErrorKind::usage,
          "{}: describes time series, which the format {} does not hold; leave it out", source.where("data.series"),
          data.format);
}

void check_series(const Source& source, const DataConfig& data) {
  const SeriesConfig& series = data.series;
  require(series.window > 0, ErrorKind::usage, "{}: is missing; the format {} needs the rows of a window",
          source.where("data.series.window"), data.format);
  require(series.offset.size() == series.scale.size(), ErrorKind::usage,
          "{}: has {} values where data.series.offset has {}; give as many", source.where("data.series.scale"),
          series.scale.size(), series.offset.size());
  require(data.mean.empty() && data.std.empty(), ErrorKind::usage,
          "{}: is for images; series are scaled by data.series.offset and scale, leave it out",
          source.where("data.mean"));
  require(data.classes == 0 || data.classes == 2, ErrorKind::usage,
          "{}: a time step is normal or anomalous; leave it out", source.where("data.classes"));
  const bool csv = data.format == "csv";
  require(!csv || !series.label_column.empty(), ErrorKind::usage,
          "{}: is missing; the format csv needs the column that marks anomalies",
          source.where("data.series.label_column"));
  require(csv || (series.label_column.empty() && series.time_column.empty() && series.skip_columns.empty()),
          ErrorKind::usage, "{}: names columns, which npy files do not have; leave it out",
          source.where("data.series"));
}

void check_test_files(const Source& source, const DataConfig& data) {
  if (data.test_from == "files") {
    require(!data.test_images.empty(), ErrorKind::usage,
            "{}: is missing; without files for it data.test_from = \"train\" draws a test set from the training images",
            source.where("data.test_images"));
    return check_files(source, data.format, "test", data.test_images, data.test_labels);
  }
  for (const auto& [key, given] : {std::pair("data.test_images", !data.test_images.empty()),
                                   std::pair("data.test_labels", !data.test_labels.empty())}) {
    require(!given, ErrorKind::usage, "{}: is of no use with data.test_from = \"train\"; leave one of them out",
            source.where(key));
  }
}

void check_gate(const Config& config, const Source& source) {
  const DataConfig& data = config.data;
  if (data.gate_from == "train") return;
  const std::string where = source.where("data.gate_from");
  require(!data.is_series(), ErrorKind::usage, "{}: series take their gate from the training series; leave it out",
          where);
  require(data.test_from == "files", ErrorKind::usage,
          "{}: data.test_from = \"train\" draws all sets from the same images; leave one of them out", where);
  require(config.protocol == "held_out", ErrorKind::usage,
          "{}: protocol 'paper' scores candidates on the test images; leave one of them out", where);
}

void check_preprocessing(const Source& source, const DataConfig& data) {
  const bool folder = data.format == "image_folder";
  require(!folder || data.crop > 0, ErrorKind::usage,
          "{}: is missing; the format image_folder needs the side of the square that the network sees, e.g. 224",
          source.where("data.crop"));
  for (const auto& [key, given] : {std::pair("data.resize", data.resize != 0), std::pair("data.crop", data.crop != 0),
                                   std::pair("data.cache", !data.cache.empty())}) {
    require(folder || !given, ErrorKind::usage, "{}: is for the format image_folder; leave it out with {}",
            source.where(key), data.format);
  }
  require(data.resize == 0 || data.resize >= data.crop, ErrorKind::usage,
          "{}: {} leaves too few pixels for data.crop = {}; give at least that value", source.where("data.resize"),
          data.resize, data.crop);
}

/// Descent, channel and gram fit 8-bit codes.
void check_half(const Config& config, const Source& source) {
  if (config.quant.activations != "half") return;
  const SearchConfig& search = config.search;
  require(search.strategy == "layer" || search.strategy == "none", ErrorKind::usage,
          "{}: '{}' is for int8 activations; half activations go with 'layer' or 'none' (recipe 'paper' sets 'layer')",
          source.where("search.strategy"), search.strategy);
  require(search.start != "descent", ErrorKind::usage,
          "{}: 'descent' is for int8 activations; half activations go with 'nearest' or 'bias' (recipe 'paper' sets "
          "'nearest')",
          source.where("search.start"));
}

/// What no single key can say.
void check_consistency(const Config& config, const Source& source) {
  const DataConfig& data = config.data;
  if (data.is_series()) {
    check_series_files(source, data);
    check_series(source, data);
  } else {
    check_files(source, data.format, "train", data.train_images, data.train_labels);
    check_test_files(source, data);
    check_scaling(source, data);
  }
  check_preprocessing(source, data);
  check_gate(config, source);
  require((config.search.fitness == "reconstruction") == data.is_series(), ErrorKind::usage,
          "{}: '{}' does not fit the format {}; series are scored by reconstruction, images by the others",
          source.where("search.fitness"), config.search.fitness, data.format);
  require(config.search.rate_end == 0 || config.search.strategy == "channel", ErrorKind::usage,
          "{}: strategy '{}' keeps its rate; only 'channel' lets it fall, leave it out",
          source.where("search.rate_end"), config.search.strategy);
  check_half(config, source);
  if (config.protocol == "paper") return;
  for (const std::string& file : data.test_images) {
    const auto& train = data.train_images;
    if (data.is_series() && !file.ends_with("." + data.format)) continue;  // a folder: each side takes its own files
    require(std::find(train.begin(), train.end(), file) == train.end(), ErrorKind::usage,
            "{}: {} is named for training too; the protocol held_out needs test images that the search never sees "
            "(data.test_from = \"train\" draws disjoint sets from one)",
            source.where("data.test_images"), file);
  }
}

void fill_in(Config& config, const std::string& origin) {
  if (config.data.is_series()) config.data.classes = 2;
  if (config.data.classes == 0) config.data.classes = usual_classes(config.data.format);
  if (config.out.empty()) config.out = "runs/" + std::filesystem::path(origin).stem().string();
}

/// Visitor that writes the fields as JSON: all, or those that decide a result apart from files, whose content counts
/// and not their names.
class Writer {
 public:
  Writer(json& object, bool all) : object_(object), all_(all) { object_ = json::object(); }

  void choice(const Key& key, const std::string& field, std::initializer_list<const char*>) { put(key, field); }
  void path(const Key& key, const std::string& field) {
    if (all_) put(key, field);
  }
  void paths(const Key& key, const std::vector<std::string>& field) {
    if (all_) put(key, field);
  }
  void name(const Key& key, const std::string& field) { put(key, field); }
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
    Writer child(object_[key.name], all_);
    describe(child, field);
  }
  template <class T>
  void objects(const Key& key, std::map<std::string, T>& field, const T&) {
    json& all = object_[key.name] = json::object();
    for (auto& [name, value] : field) {
      Writer child(all[name], all_);
      describe(child, value);
    }
  }

 private:
  template <class T>
  void put(const Key& key, const T& value) {
    if (all_ || key.role != Role::incidental) object_[key.name] = value;
  }

  json& object_;
  bool all_;
};

json to_json(Config config, bool all) {
  json object;
  Writer writer(object, all);
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
  void name(const Key& key, const std::string& field) { add(key, "string", json(field).dump(), ""); }
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
  const std::string format = text_at(root, "/data/format");
  if (DataConfig{.format = format}.is_series()) search.fitness = "reconstruction";
  return search;
}

}  // namespace

std::int64_t usual_classes(std::string_view format) {
  return format == "image_folder" ? 1000 : format == "cifar100" ? 100 : 10;
}

SearchConfig recipe_search(std::string_view recipe) {
  SearchConfig search;
  if (recipe == "paper") {
    search.strategy = "layer";
    search.order = "sensitivity";
    search.start = "nearest";
    search.rate = 0.02;
    search.parents = 32;
    search.offspring = 32;
    search.generations = 64;
  } else if (recipe == "channel") {
    search.strategy = "channel";
    search.start = "bias";
    search.mutation = "residual";
    search.rate = 0.02;
    search.parents = 1;
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

Config parse_config(std::string_view text, const std::string& origin, const std::vector<std::string>& overrides,
                    const std::string& out) {
  json root = parse_strict_json(text, origin);
  Source source{.origin = origin, .overrides = {}, .missing = {}};
  for (const std::string& assignment : overrides) apply_override(root, assignment, source);
  if (!out.empty()) assign_key(root, "out", out, "--out", source);
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

Config read_config(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                   const std::string& out) {
  return parse_config(read_command_file(path), path.string(), overrides, out);
}

std::string resolved_json(const Config& config) {
  return dumped(to_json(config, true), 2) + "\n";
}

void check_run_folder_name(const Config& config) {
  try {
    if (parse_config(resolved_json(config), "").out == config.out) return;
  } catch (const Error&) {  // said below
  }
  fail(ErrorKind::usage,
       "{}: cannot be the name of a run folder, which config.resolved.json must hold; it needs valid UTF-8 without "
       "control "
       "characters and without ${{; choose another --out",
       json(config.out).dump(-1, ' ', true, json::error_handler_t::replace));
}

std::string result_fingerprint(const Config& config) {
  return Fingerprint().add("qnudge config 2").add(dumped(to_json(config, false), -1)).hex();
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
