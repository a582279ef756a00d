// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace qnudge::cuda {

/// A plan on disk.
struct StoredPlan {
  std::string json;             ///< what rebuilds it
  std::string engine;           ///< what it was made from, for people
  bool addition_apart = false;  ///< of the task without its addition, which is a pass of its own
  friend bool operator==(const StoredPlan&, const StoredPlan&) = default;
};

/// Plans of one device and one version of cuDNN on disk: what rebuilds a plan without asking the heuristics and, for
/// most, without compiling. Only a cache: a file that is damaged or of another identity is replaced. May be used from
/// several threads; processes that share a file add to it.
class PlanStore {
 public:
  /// `folder` empty: nothing is stored. `identity`: cuDNN's version and the device, in any text.
  PlanStore(const std::filesystem::path& folder, const std::string& identity);
  PlanStore(const PlanStore&) = delete;
  PlanStore& operator=(const PlanStore&) = delete;
  ~PlanStore();

  /// What was stored under this text.
  std::optional<StoredPlan> find(const std::string& key) const;
  /// Also saves, if the last time is a second ago and saving takes a small part of the time: whatever ends the program,
  /// most of its work is kept.
  void add(const std::string& key, const StoredPlan& plan);
  /// Drops an entry that cuDNN does not take any more.
  void drop(const std::string& key);
  /// Writes what has been added; a folder that cannot be written to costs time, not results.
  void save() noexcept;

  const std::filesystem::path& path() const { return path_; }
  /// Why the file that was there is not used; empty if it is, or if there was none.
  const std::string& note() const { return note_; }

 private:
  using Plans = std::map<std::string, StoredPlan>;
  Plans read() const;
  void merge();
  void save_locked() noexcept;
  std::filesystem::file_time_type written() const;

  const std::string identity_;
  std::filesystem::path path_;
  std::string note_;
  mutable std::mutex mutex_;
  Plans plans_;
  std::set<std::string> dropped_;
  bool changed_ = false;
  std::filesystem::file_time_type known_{};  ///< when the file was last written, as far as this has read it
  std::chrono::steady_clock::time_point next_save_{};
};

/// The store of this process for a folder and an identity: read once, however often devices are opened. Logs why a file
/// that was there is not used.
std::shared_ptr<PlanStore> shared_plan_store(const std::filesystem::path& folder, const std::string& identity);

/// $QNUDGE_PLAN_CACHE, else $XDG_CACHE_HOME/qnudge, else ~/.cache/qnudge; empty if QNUDGE_PLAN_CACHE is "off" or there
/// is no home.
std::filesystem::path plan_store_folder();

}  // namespace qnudge::cuda
