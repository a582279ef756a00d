// SPDX-License-Identifier: MIT
#pragma once

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/search/tune.hpp"

namespace qnudge {

/// Values by key, each made once, by the first thread that asks; the others wait for it. Keeps the `capacity` last
/// ones.
template <class T>
class OnceMap {
 public:
  explicit OnceMap(std::size_t capacity) : capacity_(capacity) {}

  /// What `make` throws goes to the one who made it; the next to ask tries again.
  std::shared_ptr<const T> get(const std::string& key, const std::function<T()>& make) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return !entries_.contains(key) || entries_[key]; });
    if (entries_.contains(key)) return entries_[key];
    entries_[key] = nullptr;  // under way
    lock.unlock();
    std::shared_ptr<const T> value;
    try {
      value = std::make_shared<const T>(make());
    } catch (...) {
      lock.lock();
      entries_.erase(key);
      ready_.notify_all();
      throw;
    }
    lock.lock();
    entries_[key] = value;
    kept_.push_back(key);
    if (kept_.size() > capacity_) {
      entries_.erase(kept_.front());
      kept_.pop_front();
    }
    ready_.notify_all();
    return value;
  }

 private:
  const std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable ready_;
  std::map<std::string, std::shared_ptr<const T>> entries_;  // nullptr: being made
  std::deque<std::string> kept_;                             // keys of finished ones, oldest first
};

/// Closed forms of one run, with their scores.
struct StartPoint {
  ModelScores nearest, start;
  std::optional<ModelScores> bias;
  std::vector<LayerParams> params;  ///< of the start
  std::vector<std::string> notes;   ///< given on the way
};

/// What runs have in common. Every key is a fingerprint of all that decides the value, so a run that shares ends in the
/// same bytes as one that does not. Safe to use from several threads; outlives the runs.
struct SharedWork {
  /// Holds reference.bin and targets.bin in a folder per fingerprint of their inputs; run folders get links to them.
  std::filesystem::path folder;
  OnceMap<bool> references{64};  ///< those that `folder` holds now
  OnceMap<Reference::Set> float_sets{16};
  OnceMap<Sensitivity> sensitivities{16};
  OnceMap<StartPoint> starts{8};
};

}  // namespace qnudge
