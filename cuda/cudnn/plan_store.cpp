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
constexpr int kFormat = 3;

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
  known_ = written();
  if (std::error_code ignored; !std::filesystem::exists(path_, ignored)) return;
  try {
    plans_ = read();
  } catch (const std::exception& e) {
    note_ = fmt::format("{}: plans are made anew: {}", path_.string(), e.what());
    changed_ = true;
  }
}

PlanStore::~PlanStore() {
  save();
}

std::filesystem::file_time_type PlanStore::written() const {
  std::error_code none;
  const auto time = std::filesystem::last_write_time(path_, none);
  return none ? std::filesystem::file_time_type{} : time;
}

PlanStore::Plans PlanStore::read() const {
  const std::vector<std::uint8_t> bytes = read_file(path_);
  const nlohmann::json json = nlohmann::json::parse(bytes);
  require(json.at("format") == kFormat && json.at("identity") == identity_, ErrorKind::input,
          "is of another version of qnudge, cuDNN or device");
  Plans plans;
  for (const auto& [key, plan] : json.at("plans").items()) {
    plans[key] = {plan.at("plan").get<std::string>(), plan.at("engine").get<std::string>(),
                  plan.at("addition_apart").get<bool>()};
  }
  return plans;
}

std::optional<StoredPlan> PlanStore::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = plans_.find(key);
  return found == plans_.end() ? std::nullopt : std::optional(found->second);
}

void PlanStore::add(const std::string& key, const StoredPlan& plan) {
  if (path_.empty()) return;
  const std::lock_guard lock(mutex_);
  plans_[key] = plan;
  dropped_.erase(key);
  changed_ = true;
  if (Clock::now() >= next_save_) save_locked();
}

void PlanStore::drop(const std::string& key) {
  const std::lock_guard lock(mutex_);
  dropped_.insert(key);
  changed_ = plans_.erase(key) > 0 || changed_;
}

/// Takes over what another process has added to the file since this one has read it.
void PlanStore::merge() {
  if (written() == known_) return;
  try {
    for (auto& [key, plan] : read()) {
      if (!dropped_.contains(key)) plans_.emplace(key, std::move(plan));
    }
  } catch (const std::exception&) {  // damaged meanwhile, or not there: it is about to be replaced
  }
}

void PlanStore::save() noexcept {
  const std::lock_guard lock(mutex_);
  save_locked();
}

void PlanStore::save_locked() noexcept {
  if (!changed_ || path_.empty()) return;
  changed_ = false;
  const Clock::time_point begun = Clock::now();
  try {
    merge();
    std::filesystem::create_directories(path_.parent_path());
    nlohmann::json plans = nlohmann::json::object();
    for (const auto& [key, plan] : plans_) {
      plans[key] = {{"plan", plan.json}, {"engine", plan.engine}, {"addition_apart", plan.addition_apart}};
    }
    const nlohmann::json json = {{"format", kFormat}, {"identity", identity_}, {"plans", std::move(plans)}};
    write_file_atomically(path_, json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    known_ = written();
  } catch (const std::exception& e) {
    spdlog::debug("{}: plans are not stored: {}", path_.string(), e.what());
  }
  const Clock::duration taken = Clock::now() - begun;
  next_save_ = begun + taken + std::max<Clock::duration>(std::chrono::seconds(1), 20 * taken);
}

std::shared_ptr<PlanStore> shared_plan_store(const std::filesystem::path& folder, const std::string& identity) {
  static std::mutex mutex;
  // Never destroyed: whoever uses a store saves it, and at the end of the program no order is sure.
  static auto& stores = *new std::map<std::pair<std::filesystem::path, std::string>, std::shared_ptr<PlanStore>>;
  const std::lock_guard lock(mutex);
  auto& store = stores[{folder, identity}];
  if (!store) {
    store = std::make_shared<PlanStore>(folder, identity);
    if (!store->note().empty()) spdlog::info("{}", store->note());
  }
  return store;
}

}  // namespace qnudge::cuda
