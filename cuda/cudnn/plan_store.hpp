// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace qnudge::cuda {

/// Plans of one device and one version of cuDNN on disk: what rebuilds a plan without asking the heuristics and, for
/// most, without compiling. Only a cache: a file that is damaged or of another identity is replaced.
class PlanStore {
 public:
  /// `folder` empty: nothing is stored. `identity`: cuDNN's version and the device, in any text.
  PlanStore(const std::filesystem::path& folder, const std::string& identity);
  PlanStore(const PlanStore&) = delete;
  PlanStore& operator=(const PlanStore&) = delete;
  ~PlanStore();

  /// What was stored for the graph of this text.
  std::optional<std::string> find(const std::string& graph) const;
  /// Also saves, if the last time is a second ago and saving takes a small part of the time: whatever ends the program,
  /// most of its work is kept.
  void add(const std::string& graph, const std::string& plan);
  /// Drops an entry that cuDNN does not take any more.
  void drop(const std::string& graph);
  /// Writes what has been added; a folder that cannot be written to costs time, not results.
  void save() noexcept;

  const std::filesystem::path& path() const { return path_; }
  /// Why the file that was there is not used; empty if it is, or if there was none.
  const std::string& note() const { return note_; }

 private:
  void load();

  const std::string identity_;
  std::filesystem::path path_;
  std::map<std::string, std::string> plans_;
  std::string note_;
  bool changed_ = false;
  std::chrono::steady_clock::time_point next_save_{};
};

/// $QNUDGE_PLAN_CACHE, else $XDG_CACHE_HOME/qnudge, else ~/.cache/qnudge; empty if QNUDGE_PLAN_CACHE is "off" or there
/// is no home.
std::filesystem::path plan_store_folder();

}  // namespace qnudge::cuda
