// SPDX-License-Identifier: MIT
#include "qnudge/cli/quality_bench.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "qnudge/cli/run_context.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/ladder.hpp"

namespace qnudge {
namespace {

/// One method: the run that makes it, and which of that run's models it is.
struct Rung {
  const char* name;
  const char* run;
  std::vector<std::string> settings;
  enum class Model { nearest, bias, start, tuned } model;
};

const std::array<Rung, 7>& rungs() {
  const std::vector<std::string> gram = {"recipe=best", "search.joint_gain=false", "search.scales=1",
                                         "search.parents=1"};
  std::vector<std::string> closed_form = gram;
  closed_form.emplace_back("search.strategy=none");
  static const std::array<Rung, 7> all = {{
      {"nearest", "descent", closed_form, Rung::Model::nearest},
      {"bias", "descent", closed_form, Rung::Model::bias},
      {"descent", "descent", closed_form, Rung::Model::start},
      {"paper", "paper", {"recipe=paper"}, Rung::Model::tuned},
      {"channel", "channel", {"recipe=channel"}, Rung::Model::tuned},
      {"gram", "gram", gram, Rung::Model::tuned},
      {"best", "best", {"recipe=best"}, Rung::Model::tuned},
  }};
  return all;
}

std::vector<std::string> rung_names() {
  std::vector<std::string> names;
  for (const Rung& rung : rungs()) names.emplace_back(rung.name);
  return names;
}

struct QualityOptions {
  RunOptions run;
  std::vector<int> bits = {4};
  std::vector<std::uint64_t> seeds = {1, 2, 3};
  std::vector<std::string> rungs = rung_names();
  std::vector<std::string> peers;
  bool resume = false, markdown = false;
};

const ModelScores& model_of(const TuneResult& result, Rung::Model model) {
  switch (model) {
    case Rung::Model::nearest:
      return result.nearest;
    case Rung::Model::bias:
      require(result.bias.has_value(), ErrorKind::usage,
              "bench quality: the rung 'bias' needs a config without stop.rule \"budget\"");
      return *result.bias;
    case Rung::Model::start:
      return result.start;
    case Rung::Model::tuned:
      break;
  }
  return result.tuned;
}

LadderRun ladder_run(const std::string& rung, int bits, std::uint64_t seed, const Indices& images,
                     const std::vector<std::int32_t>& labels, const std::vector<std::int32_t>& predicted) {
  LadderRun run{.rung = rung, .bits = bits, .seed = seed, .images = images, .right = {}};
  for (std::size_t i = 0; i < images.size(); ++i) run.right.push_back(labels[i] == predicted[i]);
  return run;
}

/// The whole bench: every run that the chosen rungs need, once.
class QualityBench {
 public:
  QualityBench(const QualityOptions& options, Terminal& terminal, const OutputOptions& output)
      : options_(options), terminal_(terminal), output_(output) {}

  std::vector<LadderRun> run() {
    std::vector<nlohmann::json> peers;  // a mistake shows before the runs
    for (const std::string& peer : options_.peers) peers.push_back(read_peer(peer));
    require(!chosen("bias") || load_config(options_.run).stop.rule != "budget", ErrorKind::usage,
            "--rungs: 'bias' needs a config without stop.rule \"budget\"");
    with_stop_sentence(fmt::format("interrupted; what is done is saved in {}, go on with --resume", folder()), [&] {
      for (const int bits : options_.bits) {
        for (const std::uint64_t seed : options_.seeds) run_all(bits, seed);
      }
    });
    for (std::size_t p = 0; p < peers.size(); ++p) add_peer(options_.peers[p], peers[p]);
    return std::move(runs_);
  }

 private:
  void run_all(int bits, std::uint64_t seed) {
    std::map<std::string, TuneResult> done;
    for (Rung rung : rungs()) {
      if (!chosen(rung.name)) continue;
      if (rung.run == std::string_view("descent") && !chosen("descent")) {  // any run scores nearest and bias
        rung.run = "bias";
        rung.settings.emplace_back("search.start=bias");
      }
      if (!done.contains(rung.run)) done[rung.run] = tuned(rung, bits, seed);
      const TuneResult& result = done[rung.run];
      const ModelScores& model = model_of(result, rung.model);
      runs_.push_back(ladder_run(rung.name, bits, seed, result.splits.test, result.test_labels, model.test.predicted));
      runs_.back().seconds = model.seconds;
      if (rung.model != Rung::Model::tuned) continue;
      runs_.back().seconds += result.start.seconds;
      runs_.back().evaluations = result.evaluations;
    }
  }

  bool chosen(const std::string& rung) const {
    return std::find(options_.rungs.begin(), options_.rungs.end(), rung) != options_.rungs.end();
  }

  TuneResult tuned(const Rung& rung, int bits, std::uint64_t seed) {
    RunOptions options = options_.run;
    options.overrides.insert(options.overrides.begin(), rung.settings.begin(), rung.settings.end());
    options.overrides.insert(options.overrides.begin(), "search={}");  // the file's own search would hide the recipe
    options.overrides.push_back(fmt::format("quant.grid.bits={}", bits));
    options.overrides.push_back(fmt::format("seed={}", seed));
    options.out = fmt::format("{}/{}bits_seed{}_{}", folder(), bits, seed, rung.run);
    RunContext run = load_run(load_config(options), options.config);
    require(!is_series(*run.request.test), ErrorKind::usage,
            "{}: bench quality counts right answers; series are judged by F1, use tune", options_.run.config);
    run.request.resume = options_.resume;
    spdlog::info("{} bits, seed {}, {}: {}", bits, seed, rung.run, options.out);
    TuneResult result;
    observe(run, terminal_, output_, signals_, [&](TuneObserver& observer) { result = tune(run.request, observer); });
    test_images_ = result.splits.test;
    test_labels_ = result.test_labels;
    return result;
  }

  std::string folder() const { return load_config(options_.run).out; }

  /// {"rung", "bits", "seed", "seconds", "predicted": one class per image of the test files}
  static nlohmann::json read_peer(const std::string& path) {
    const std::vector<std::uint8_t> bytes = read_file(path);
    try {
      nlohmann::json peer = nlohmann::json::parse(bytes);
      static_cast<void>(peer.at("predicted").get<std::vector<std::int32_t>>());
      static_cast<void>(peer.at("rung").get<std::string>());
      for (const char* key : {"bits", "seed", "seconds"}) static_cast<void>(peer.at(key).get<double>());
      return peer;
    } catch (const nlohmann::json::exception& error) {
      fail(ErrorKind::input, "{}: needs rung, bits, seed, seconds and one predicted class per test image ({})", path,
           error.what());
    }
  }

  void add_peer(const std::string& path, const nlohmann::json& peer) {
    const auto all = peer.at("predicted").get<std::vector<std::int32_t>>();
    std::vector<std::int32_t> predicted;
    for (const std::int64_t image : test_images_) {
      require(std::cmp_less(image, all.size()), ErrorKind::input, "{}: predicts {} images; the test files hold more",
              path, all.size());
      predicted.push_back(all[static_cast<std::size_t>(image)]);
    }
    runs_.push_back(
        ladder_run(peer.at("rung"), peer.at("bits"), peer.at("seed"), test_images_, test_labels_, predicted));
    runs_.back().seconds = peer.at("seconds");
  }

  const QualityOptions& options_;
  Terminal& terminal_;
  const OutputOptions& output_;
  StopSignals signals_;
  std::vector<LadderRun> runs_;
  Indices test_images_;
  std::vector<std::int32_t> test_labels_;
};

int run_quality_bench(const QualityOptions& options, Terminal& terminal, const OutputOptions& output) {
  std::vector<LadderRun> runs = QualityBench(options, terminal, output).run();
  std::stable_sort(runs.begin(), runs.end(), [](const LadderRun& a, const LadderRun& b) { return a.bits > b.bits; });
  const std::vector<LadderRow> ladder = make_ladder(runs);
  terminal.out() << (output.json        ? ladder_json(ladder)
                     : options.markdown ? ladder_markdown(ladder)
                                        : ladder_text(ladder));
  return 0;
}

}  // namespace

Action add_quality_bench(CLI::App& app) {
  const auto options = std::make_shared<QualityOptions>();
  add_config_options(app, options->run);
  add_backend_option(app, options->run);
  add_out_option(app, options->run);
  one_a_flag(app.add_option("--bits", options->bits, "Bit widths of the weights"))
      ->type_name("B[,B]")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(2, 8));
  one_a_flag(app.add_option("--seeds", options->seeds, "Seeds of image sets and mutations"))
      ->type_name("S[,S]")
      ->delimiter(',')
      ->capture_default_str();
  one_a_flag(app.add_option("--rungs", options->rungs, "Methods to compare"))
      ->type_name("NAME[,NAME]")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::IsMember(rung_names()));
  app.add_option("--peer", options->peers, "Another tool's predictions, as its script in benchmarks/peers/ wrote them")
      ->type_name("FILE");
  app.add_flag("--resume", options->resume, "Go on with the runs below --out");
  app.add_flag("--markdown", options->markdown, "The table as Markdown");
  return [options](Terminal& terminal, const OutputOptions& output) {
    return run_quality_bench(*options, terminal, output);
  };
}

}  // namespace qnudge
