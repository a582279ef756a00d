// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "generation_log.hpp"

namespace qnudge::cuda {

/// A search whose generation is recorded once as a program and run for every generation.
class RecordedSearch : public LayerSearch {
 public:
  /// Returns when the device is done.
  void repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) override;
  std::vector<GenerationRecord> take_history() override { return log_.take(); }
  const Mailbox& mailbox() const override { return log_.mailbox(); }

 protected:
  /// `layer`: its name, for profilers.
  RecordedSearch(Device& device, const std::string& layer)
      : device_(device), log_(device), span_(device.annotate("layer " + layer)) {}
  /// What is being recorded. Throws Error(kind internal) outside of `repeat`.
  Program& recorded() const;

  Device& device_;
  GenerationLog log_;

 private:
  Program* recording_ = nullptr;
  std::shared_ptr<void> span_;
};

}  // namespace qnudge::cuda
