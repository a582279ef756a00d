// SPDX-License-Identifier: MIT
// Asks cuDNN, without a GPU, whether it takes every convolution of the published networks, and writes a table.
//
//   plan_table RECORD.jsonl                 asks what RECORD does not hold yet, appending one line per answer
//   plan_table RECORD.jsonl --seconds N     stops after N seconds; a later call goes on
//   plan_table RECORD.jsonl --candidates P  asks for this many candidates alone: several processes can share the work,
//                                           each with a record of its own, and their records joined are one record
//   plan_table RECORD.jsonl --markdown      writes the table of what RECORD holds to stdout
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "cuda/cudnn/conv_plan.hpp"
#include "described_devices.hpp"
#include "model_shapes.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

using nlohmann::json;

constexpr int kCodeBits = 8;
const std::vector<std::int64_t> kCandidates = {32, 33, 1, 16, 64};

const char* role_name(ConvRole role) {
  return role == ConvRole::single ? "single" : role == ConvRole::wide ? "wide" : "shared";
}

std::string key_of(const DescribedDevice& device, const ConvTask& task) {
  return std::string(device.architecture) + " " + task_text(task);
}

std::map<std::string, json> read_record(const std::string& path) {
  std::map<std::string, json> record;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const json answer = json::parse(line, nullptr, false);
    if (!answer.is_discarded() && answer.contains("key")) record[answer["key"].get<std::string>()] = answer;
  }
  return record;
}

/// Asks in the ladder's order: all candidates in one graph, then one at a time.
json ask(const Cudnn& api, const PlanTarget& target, const ConvTask& task) {
  json answer = {{"form", "plain kernel"}, {"reason", ""}};
  for (const ConvForm form : forms_of(task, kCodeBits)) {
    const PlanOutcome outcome = plan_conv(api, target, task, form);
    if (outcome.accepted) {
      answer["form"] = form_text(form);
      answer["engine"] = outcome.engine;
      return answer;
    }
    answer["reason"] = outcome.reason;
  }
  return answer;
}

void fill(const std::string& path, const std::vector<std::int64_t>& all_candidates, double seconds) {
  std::map<std::string, json> record = read_record(path);
  std::ofstream out(path, std::ios::app);
  const Cudnn& api = cudnn();
  const auto begun = std::chrono::steady_clock::now();
  std::int64_t asked = 0;
  for (const std::int64_t candidates : all_candidates) {
    for (const DescribedDevice& device : kDescribedDevices) {
      const PlanTarget target(api, device.json());
      for (const ModelShapes& model : published_models()) {
        for (const LayerShape& layer : model.layers) {
          for (const ConvTask& task : tasks_of(layer, candidates)) {
            const std::string key = key_of(device, task);
            if (record.contains(key)) continue;
            if (std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count() > seconds) return;
            json answer = ask(api, target, task);
            answer["key"] = key;
            out << answer.dump() << '\n' << std::flush;
            record[key] = answer;
            if (++asked % 50 == 0) std::cerr << asked << " asked, at " << model.name << ", " << key << '\n';
          }
        }
      }
    }
  }
}

/// What became of some tasks.
struct Tally {
  int open = 0;
  std::map<std::string, int> forms;

  std::string text() const {
    std::string all;
    for (const auto& [form, count] : forms) all += fmt::format("{}{} {}", all.empty() ? "" : ", ", count, form);
    if (open > 0) all += fmt::format("{}{} not run", all.empty() ? "" : ", ", open);
    return all.empty() ? "-" : all;
  }
};

using Record = std::map<std::string, json>;
using Refusals = std::map<std::string, std::set<std::string>>;  ///< keys by reason

/// One network's layers in one role, on all architectures.
Tally tally(const Record& record, const ModelShapes& model, ConvRole role, std::int64_t candidates,
            Refusals& refusals) {
  Tally found;
  for (const DescribedDevice& device : kDescribedDevices) {
    for (const LayerShape& layer : model.layers) {
      for (const ConvTask& task : tasks_of(layer, candidates)) {
        if (task.role != role) continue;
        const auto answer = record.find(key_of(device, task));
        if (answer == record.end()) {
          ++found.open;
          continue;
        }
        const std::string form = answer->second["form"];
        ++found.forms[form];
        if (form == "plain kernel") refusals[answer->second["reason"]].insert(answer->first);
      }
    }
  }
  return found;
}

void write_markdown(const std::string& path) {
  const Record record = read_record(path);
  Refusals refusals;
  std::string architectures;
  for (const DescribedDevice& device : kDescribedDevices) {
    architectures += fmt::format("{}{}", architectures.empty() ? "" : ", ", device.architecture);
  }
  std::cout << "Tasks of every network's layers, on " << architectures << " together:\n\n| network | role |";
  constexpr std::int64_t kColumns[] = {1, 16, 32, 33, 64};
  for (const std::int64_t candidates : kColumns) std::cout << " P = " << candidates << " |";
  std::cout << "\n|---|---|---|---|---|---|---|\n";
  for (const ModelShapes& model : published_models()) {
    for (const ConvRole role : {ConvRole::single, ConvRole::wide, ConvRole::shared}) {
      std::cout << fmt::format("| {} | {} |", model.name, role_name(role));
      for (const std::int64_t candidates : kColumns) {
        std::cout << ' ' << tally(record, model, role, candidates, refusals).text() << " |";
      }
      std::cout << '\n';
    }
  }
  std::cout << fmt::format("\n{} different tasks asked.\n", record.size());
  for (const auto& [reason, keys] : refusals) {
    std::cout << fmt::format("\nLeft to the plain kernel, because \"{}\": {} tasks, e.g. `{}`.\n", reason, keys.size(),
                             *keys.begin());
  }
}

struct Options {
  std::string record;
  double seconds = std::numeric_limits<double>::infinity();
  std::vector<std::int64_t> candidates = kCandidates;
  bool markdown = false;
};

int run(int argc, const char* const* argv) {
  Options options;
  CLI::App app("Asks cuDNN, without a GPU, whether it takes every convolution of the published networks.");
  app.add_option("record", options.record, "Answers, one JSON object per line; new ones are appended")->required();
  CLI::Option* const markdown = app.add_flag("--markdown", options.markdown, "Write the table of the record to stdout");
  app.add_option("--seconds", options.seconds, "Stop after this many seconds; a later call goes on")
      ->excludes(markdown)
      ->check(CLI::NonNegativeNumber);
  app.add_option("--candidates", options.candidates, "Ask for these numbers of candidates alone")
      ->excludes(markdown)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::PositiveNumber);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ErrorKind::usage);
  }
  if (options.markdown) {
    write_markdown(options.record);
  } else {
    fill(options.record, options.candidates, options.seconds);
  }
  return 0;
}

}  // namespace
}  // namespace qnudge::cuda

int main(int argc, char** argv) {
  try {
    return qnudge::cuda::run(argc, argv);
  } catch (const qnudge::Error& e) {
    std::cerr << "plan_table: " << e.what() << '\n';
    return static_cast<int>(e.kind());
  }
}
