// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// Plain structs of a run's configuration. Defaults stand here; ranges and documentation stand in the reader's table
/// (config/reader.hpp), from which messages, configs/README.md's check and the resolved config are derived.

/// Time series: formats "csv" and "npy".
struct SeriesConfig {
  std::int64_t window = 0;                ///< rows; 0: not a series
  double threshold_part = 0.5;            ///< of every test series, from its beginning; the rest is test
  std::string label_column, time_column;  ///< csv; empty: none
  std::vector<std::string> skip_columns;  ///< csv
  std::vector<double> offset, scale;  ///< one per sensor: (x - offset) / scale; empty: fitted on the training series
  friend bool operator==(const SeriesConfig&, const SeriesConfig&) = default;
};

struct DataConfig {
  std::string format;                     ///< "idx", "cifar10", "cifar100", "image_folder", "csv", "npy"
  std::vector<std::string> train_images;  ///< files, idx: one; image_folder: one folder
  std::string train_labels;               ///< idx; image_folder: empty where each class has a folder
  std::vector<std::string> test_images;
  std::string test_labels;
  std::string test_from = "files";    ///< "files": test_images; "train": drawn from the training images
  std::string gate_from = "train";    ///< "train": training images; "test": drawn from the test images, which shrink
  std::int64_t classes = 0;           ///< 0: 10 for idx and cifar10, 100 for cifar100, 1000 for image_folder
  std::int64_t resize = 0, crop = 0;  ///< image_folder: pixels; resize 0: as it is
  std::string cache;                  ///< image_folder: folder for decoded images; empty: the user's cache folder
  std::vector<double> mean, std;      ///< one per channel; (x / 255 - mean) / std
  std::int64_t calibration = 1024, fitness = 1024, gate = 1024;
  std::int64_t test = 0;  ///< 0: all
  SeriesConfig series;
  bool is_series() const { return format == "csv" || format == "npy"; }
  friend bool operator==(const DataConfig&, const DataConfig&) = default;
};

struct GridConfig {
  int bits = 4;                      ///< 2..8
  std::string scheme = "per_layer";  ///< "per_layer", "per_channel"
  std::string scale = "pow2";        ///< "pow2", "free"
  std::string range = "max";         ///< "max", "mse"
  friend bool operator==(const GridConfig&, const GridConfig&) = default;
};

struct QuantConfig {
  std::string activations = "int8";      ///< "int8", "half"
  std::string activation_range = "mse";  ///< "max", "mse"
  std::string batch_norm = "separate";   ///< "separate", "fold"
  GridConfig grid;
  int rest_bits = 8;                         ///< layers that a mode leaves unquantised
  std::map<std::string, GridConfig> layers;  ///< overrides by node name; missing keys inherit `grid`
  friend bool operator==(const QuantConfig&, const QuantConfig&) = default;
};

/// The defaults are those of the recipe "best".
struct SearchConfig {
  std::string strategy = "gram";     ///< "none", "layer", "channel", "gram"
  std::string order = "forward";     ///< "sensitivity", "forward"
  std::string start = "descent";     ///< "nearest", "bias", "descent"
  std::string fitness = "top1";      ///< "top1", "cross_entropy", "kl", "top1_then_cross_entropy", "reconstruction"
  std::string mutation = "uniform";  ///< "uniform", "residual"
  double rate = 0.03;
  double rate_end = 0;  ///< channel: rate of the last generation; 0: as the first
  std::int64_t parents = 4, offspring = 8, generations = 200;
  std::int64_t chunk = 0;  ///< offspring resident at a time; 0: all
  int sensitivity_bits = 4;
  std::int64_t positions = 30;  ///< per image, at which channel, gram and descent observe a layer
  double damping = 0.01;        ///< gram, descent: of the mean diagonal
  bool joint_gain = true;       ///< gram, descent: gain and codes are fitted together
  std::int64_t scales = 9;      ///< descent: scales tried per channel
  std::int64_t gram_mib = 1024;
  bool gate = true;
  std::vector<std::string> skip;  ///< node names that are quantised but not searched
  friend bool operator==(const SearchConfig&, const SearchConfig&) = default;
};

struct StopConfig {
  std::string rule = "none";  ///< "none", "recovered", "budget"
  double tolerance = 0.01;    ///< accuracy drop against float on the gate images, a fraction
  double seconds = 0;         ///< wall clock; 0: none
  friend bool operator==(const StopConfig&, const StopConfig&) = default;
};

/// How the CUDA backend uses its GPU; never what comes out, unless sums of halves round otherwise in other chunks.
struct DeviceConfig {
  std::int64_t memory_mib = 0;  ///< for the search of a layer; 0: most of what is free
  std::int64_t images = 0;      ///< per chunk; 0: chosen
  std::int64_t streams = 4;
  bool autotune = false;  ///< time cuDNN's engines once per convolution
  bool graphs = true;     ///< all generations of a layer as one launch
  friend bool operator==(const DeviceConfig&, const DeviceConfig&) = default;
};

struct Config {
  std::string recipe = "best";  ///< "paper", "channel", "best": gave `search` its defaults
  std::string model;
  std::int64_t input_height = 0, input_width = 0;  ///< for models with symbolic spatial extents
  std::string model_output;                        ///< of several outputs, the one that counts; empty: the only one
  DataConfig data;
  QuantConfig quant;
  SearchConfig search;
  StopConfig stop;
  std::string protocol = "held_out";  ///< "held_out", "paper" (leaky)
  std::uint64_t seed = 1;
  std::string out;               ///< run folder; empty: runs/<config file name>
  std::string backend = "auto";  ///< "auto", "host", "reference", "cuda"
  std::int64_t threads = 0;      ///< 0: all cores
  DeviceConfig device;
  std::int64_t checkpoint_generations = 0;  ///< also checkpoint within a layer every N generations; 0: at layer ends
  friend bool operator==(const Config&, const Config&) = default;
};

/// Reads and checks a config: strict JSON (no comments, no duplicate keys), unknown keys are errors with a suggestion,
/// `overrides` are "key.path=value" (value parsed as JSON if it is JSON, else a string), applied before checking.
/// `${NAME}` in path values is replaced by the environment variable. Paths are relative to the current folder.
/// `out`, unless empty, replaces the key of that name and is read like it; messages call it --out.
/// Throws Error(kind usage): file, key, what was found, what would be right.
Config read_config(const std::filesystem::path& path, const std::vector<std::string>& overrides = {},
                   const std::string& out = {});

/// The same from text; `origin` names it in messages.
Config parse_config(std::string_view text, const std::string& origin, const std::vector<std::string>& overrides = {},
                    const std::string& out = {});

/// What data.classes = 0 stands for.
std::int64_t usual_classes(std::string_view format);

/// What the recipe says where a config is silent: "paper" (the published algorithm: whole layers, from the nearest
/// codes), "channel" (every output channel on its own, scored by images, from corrected biases), "best" (gram, from
/// descent).
SearchConfig recipe_search(std::string_view recipe);

/// Every key with its final value, as JSON text (two spaces, sorted keys, final newline).
std::string resolved_json(const Config& config);

/// Throws Error(kind usage) where `out` is no text that resolved_json could give back: the results of a run read it.
void check_run_folder_name(const Config& config);

/// Fingerprint of all that decides a result apart from the content of files, which have fingerprints of their own:
/// everything but paths, recipe (the keys it stands for count), out, backend, threads, device, search.chunk,
/// checkpoint_generations and stop.seconds.
std::string result_fingerprint(const Config& config);

/// One documented key, e.g. {"search.rate", "number", "0.02", "0..1", "..."}; configs/README.md must list them all.
struct ConfigKey {
  std::string path, type, fallback, range, help;
};
std::vector<ConfigKey> config_keys(std::string_view recipe = "best");

}  // namespace qnudge
