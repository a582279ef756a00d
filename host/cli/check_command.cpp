// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <nlohmann/json.hpp>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"
#include "qnudge/cli/compare.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

struct CheckOptions {
  RunOptions run;
  std::string model;
  std::vector<std::string> backends = {"reference", "host"};
  std::int64_t images = 8;
};

Json difference_json(const IntNode& node, const Difference& at) {
  return {{"node", node.name},
          {"op", kind_of(node)},
          {"image", at.image},
          {"index", at.index},
          {"values", {at.first, at.second}}};
}

/// The network under test and its images.
struct Subject {
  IntNetwork network;
  ImageSet images;
};

Subject load_subject(const CheckOptions& options) {
  RunOptions run = options.run;
  run.config = config_for_model(run.config, options.model);
  Config config = load_config(run);
  check_files_exist(config, run.config, options.model.empty());
  const std::shared_ptr<const Graph> graph = options.model.empty() ? load_graph(config) : nullptr;
  if (graph) check_before_reading(config, *graph);
  const Datasets data = open_datasets(config);
  Subject subject;
  if (graph) {
    subject.network = nearest_network(config, *graph, data, make_float_pass(graph, static_cast<int>(config.threads)));
  } else {
    subject.network = tuned_network(options.model, *data.test);
  }
  subject.images = make_image_set(subject.network, *data.test, test_indices(config, data, options.images), nullptr);
  return subject;
}

using Names = std::pair<std::string, std::string>;

/// One sentence about the first byte that differs; empty if none does.
std::string compare_bytes(const Subject& subject, const Tensors& expected, const Tensors& found, const Names& names,
                          Json& json) {
  const auto difference = first_difference(subject.network, expected, found, subject.images.count);
  if (!difference) return {};
  const IntNode& node = subject.network.at(difference->node);
  json["equal"] = false;
  json["differences"][names.second] = difference_json(node, *difference);
  return difference_text(node, *difference, names.first, names.second);
}

/// One sentence about how far halves are apart.
std::string compare_halves(const Subject& subject, const Tensors& expected, const Tensors& found, const Names& names,
                           Json& json) {
  const Deviation deviation = largest_deviation(subject.network, expected, found, subject.images.count);
  const std::string& node = subject.network.at(deviation.node).name;
  const bool within = deviation.share <= kHalfTolerance;
  if (!within) json["equal"] = false;
  json["deviations"][names.second] = {{"node", node}, {"share", deviation.share}, {"tolerance", kHalfTolerance}};
  return fmt::format(
      "{} and {} {}: in node '{}' they are {:.2g} of its largest value apart ({:.2g} is allowed), {} images\n",
      names.first, names.second, within ? "agree" : "differ", node, deviation.share, kHalfTolerance,
      subject.images.count);
}

int run_check(const CheckOptions& options, Terminal& terminal, const OutputOptions& output) {
  require(options.backends.size() >= 2, ErrorKind::usage, "--backends: one backend; a comparison needs at least two");
  std::vector<std::unique_ptr<Backend>> backends;
  for (const std::string& name : options.backends) {
    backends.push_back(make_backend(name, {.threads = std::max(options.run.threads, 0)}));
  }
  const Subject subject = load_subject(options);
  spdlog::info("comparing {} on {} images", fmt::join(options.backends, ", "), subject.images.count);

  const Tensors expected = tensors_of(*backends.front(), subject.network, subject.images);
  std::size_t bytes = 0;
  for (const auto& tensor : expected) bytes += tensor.size();
  Json json = {{"backends", options.backends},
               {"images", subject.images.count},
               {"tensors", expected.size()},
               {"bytes", bytes},
               {"equal", true}};
  std::string text;
  for (std::size_t b = 1; b < backends.size(); ++b) {
    const Tensors found = tensors_of(*backends[b], subject.network, subject.images);
    text += (subject.network.half() ? compare_halves : compare_bytes)(
        subject, expected, found, {options.backends.front(), options.backends[b]}, json);
  }
  if (text.empty()) {
    text = fmt::format("{}: equal in all {} tensors, {} bytes, {} images\n", fmt::join(options.backends, ", "),
                       expected.size(), count_text(static_cast<std::int64_t>(bytes)), subject.images.count);
  }
  terminal.out() << (output.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n' : text);
  return json["equal"] ? 0 : static_cast<int>(ErrorKind::internal);
}

}  // namespace

Action add_check(CLI::App& app) {
  const auto options = std::make_shared<CheckOptions>();
  add_config_options(app, options->run, false);
  app.add_option("--model", options->model,
                 "A tuned.onnx instead of nearest rounding; its run folder stands for CONFIG")
      ->type_name("FILE");
  one_a_flag(app.add_option("--backends", options->backends, "Backends to compare with the first one"))
      ->type_name("A,B")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::IsMember(backend_names()));
  app.add_option("--images", options->images, "Test images to compare on")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1024}));
  return [options](Terminal& terminal, const OutputOptions& output) {
    return until_stopped([&] { return run_check(*options, terminal, output); });
  };
}

}  // namespace qnudge
