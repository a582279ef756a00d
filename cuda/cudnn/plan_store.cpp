// SPDX-License-Identifier: MIT
#include "plan_store.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge::cuda {
namespace {

// To be raised when a task's graph changes: keys name the task, not the graph, and a plan is good for its graph alone.
constexpr int kFormat = 2;

using Clock = std::chrono::steady_clock;

}  // namespace

std::filesystem::path plan_store_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  const std::string own = variable("QNUDGE_PLAN_CACHE");
  if (own == "off") return {};
  if (!own.empty()) return own;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) {
    return std::filesystem::path(cache) / "qnudge";
  }
  const std::string home = variable("HOME");
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".cache" / "qnudge";
}

PlanStore::PlanStore(const std::filesystem::path& folder, const std::string& identity) : identity_(identity) {
  if (folder.empty()) return;
  path_ = folder / fmt::format("plans-{}.json", Fingerprint().add(identity).hex().substr(0, 16));
  if (std::error_code ignored; std::filesystem::exists(path_, ignored)) load();
}

PlanStore::~PlanStore() {
  save();
}

void PlanStore::load() {
  try {
    const std::vector<std::uint8_t> bytes = read_file(path_);
    const nlohmann::json json = nlohmann::json::parse(bytes);
    require(json.at("format") == kFormat && json.at("identity") == identity_, ErrorKind::input,
            "is of another version of qnudge, cuDNN or device");
    plans_ = json.at("plans").get<std::map<std::string, std::string>>();
  } catch (const std::exception& e) {
    plans_.clear();
    note_ = fmt::format("{}: plans are made anew: {}", path_.string(), e.what());
    changed_ = true;
  }
}

std::optional<std::string> PlanStore::find(const std::string& graph) const {
  const auto found = plans_.find(graph);
  return found == plans_.end() ? std::nullopt : std::optional(found->second);
}

void PlanStore::add(const std::string& graph, const std::string& plan) {
  if (path_.empty()) return;
  plans_[graph] = plan;
  changed_ = true;
  if (Clock::now() >= next_save_) save();
}

void PlanStore::drop(const std::string& graph) {
  changed_ = plans_.erase(graph) > 0 || changed_;
}

void PlanStore::save() noexcept {
  if (!changed_ || path_.empty()) return;
  changed_ = false;
  const Clock::time_point begun = Clock::now();
  try {
    std::filesystem::create_directories(path_.parent_path());
    const nlohmann::json json = {{"format", kFormat}, {"identity", identity_}, {"plans", plans_}};
    write_file_atomically(path_, json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } catch (const std::exception& e) {
    spdlog::debug("{}: plans are not stored: {}", path_.string(), e.what());
  }
  const Clock::duration taken = Clock::now() - begun;
  next_save_ = begun + taken + std::max<Clock::duration>(std::chrono::seconds(1), 20 * taken);
}

}  // namespace qnudge::cuda
