// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "descriptor.hpp"

namespace qnudge::cuda {

/// What plans are made for: a device that is here, through a handle, or one that is only described.
class PlanTarget {
 public:
  /// The device of `handle`, which must outlive this.
  explicit PlanTarget(cudnnHandle_t handle) : handle_(handle) {}
  /// The current device, through a handle of its own. Throws Error(kind device) if there is none.
  explicit PlanTarget(const Cudnn& api);
  /// A device in cuDNN's JSON, which need not be here: plans are checked and compiled, not loaded. Throws
  /// Error(kind device) if cuDNN does not understand it.
  PlanTarget(const Cudnn& api, const std::string& json);

  bool present() const { return handle_ != nullptr; }
  void give_to_graph(Descriptor& graph) const;
  void give_to_heuristics(Descriptor& heuristics) const;
  void give_to_engine(Descriptor& engine) const;
  void give_to_plan(Descriptor& plan) const;

 private:
  std::shared_ptr<cudnnContext> own_;  // shared for its deleter alone
  cudnnHandle_t handle_ = nullptr;
  std::optional<Descriptor> description_;
};

}  // namespace qnudge::cuda
