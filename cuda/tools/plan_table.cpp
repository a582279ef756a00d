// SPDX-License-Identifier: MIT
// Asks cuDNN, without a GPU, whether it takes every convolution of the published networks, and writes a table.
//
//   plan_table RECORD.jsonl                 asks what RECORD does not hold yet, appending one line per answer
//   plan_table RECORD.jsonl --seconds N     stops after N seconds; a later call goes on
//   plan_table RECORD.jsonl --markdown      writes the table of what RECORD holds to stdout
#include <fmt/format.h>

#include <chrono>
#include <fstream>
#include <iostream>
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
constexpr std::int64_t kCandidates[] = {32, 33, 1, 16, 64};

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

void fill(const std::string& path, double seconds) {
  std::map<std::string, json> record = read_record(path);
  std::ofstream out(path, std::ios::app);
  const Cudnn& api = cudnn();
  const auto begun = std::chrono::steady_clock::now();
  std::int64_t asked = 0;
  for (const std::int64_t candidates : kCandidates) {
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

/// What became of one network's tasks in one role.
struct Tally {
  int asked = 0, open = 0;
  std::map<std::string, int> forms;

  std::string text() const {
    if (asked == 0) return "not run";
    std::string all;
    for (const auto& [form, count] : forms) {
      all += fmt::format("{}{} {}", all.empty() ? "" : ", ", count, form);
    }
    return open == 0 ? all : fmt::format("{} ({} not run)", all, open);
  }
};

void write_markdown(const std::string& path) {
  const std::map<std::string, json> record = read_record(path);
  std::cout << "| network | role | P |";
  for (const DescribedDevice& device : kDescribedDevices) std::cout << ' ' << device.architecture << " |";
  std::cout << "\n|---|---|---|---|---|---|---|\n";
  std::map<std::string, std::set<std::string>> refusals;
  for (const ModelShapes& model : published_models()) {
    for (const ConvRole role : {ConvRole::single, ConvRole::wide, ConvRole::shared}) {
      for (const std::int64_t candidates : {1, 16, 32, 33, 64}) {
        if (role == ConvRole::single && candidates != 1) continue;
        std::cout << fmt::format("| {} | {} | {} |", model.name, role_name(role), candidates);
        for (const DescribedDevice& device : kDescribedDevices) {
          Tally tally;
          for (const LayerShape& layer : model.layers) {
            for (const ConvTask& task : tasks_of(layer, candidates)) {
              if (task.role != role) continue;
              const auto found = record.find(key_of(device, task));
              if (found == record.end()) {
                ++tally.open;
                continue;
              }
              ++tally.asked;
              const std::string form = found->second["form"];
              ++tally.forms[form];
              if (form == "plain kernel") refusals[found->second["reason"]].insert(found->first);
            }
          }
          std::cout << ' ' << tally.text() << " |";
        }
        std::cout << '\n';
      }
    }
  }
  std::cout << fmt::format("\n{} different tasks asked.\n", record.size());
  for (const auto& [reason, keys] : refusals) {
    std::cout << fmt::format("\nLeft to the plain kernel, because \"{}\": {} tasks, e.g. `{}`.\n", reason, keys.size(),
                             *keys.begin());
  }
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::cerr << "plan_table RECORD.jsonl [--seconds N | --markdown]\n";
    return 2;
  }
  if (arguments.size() > 1 && arguments[1] == "--markdown") {
    write_markdown(arguments[0]);
    return 0;
  }
  const double seconds = arguments.size() > 2 && arguments[1] == "--seconds" ? std::stod(arguments[2]) : 1e9;
  fill(arguments[0], seconds);
  return 0;
}

}  // namespace
}  // namespace qnudge::cuda

int main(int argc, char** argv) {
  try {
    return qnudge::cuda::run(std::vector<std::string>(argv + 1, argv + argc));
  } catch (const qnudge::Error& e) {
    std::cerr << "plan_table: " << e.what() << '\n';
    return static_cast<int>(e.kind());
  }
}
