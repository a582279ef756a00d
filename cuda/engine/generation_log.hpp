// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {

/// Where a search on a device writes what each generation did, and how many generations it has been given.
class GenerationLog {
 public:
  explicit GenerationLog(Device& device) : device_(device), mailbox_(device.allocate_mailbox()) {}

  /// The search stands behind `generation` with this fitness.
  void begin(std::int32_t generation, std::int64_t best);
  /// Makes room for the generations up to `limit`; returns how many those are.
  std::int32_t expect(std::int32_t limit);
  /// `times` generations have been run.
  void advance(std::int32_t times) { generation_ += times; }
  std::vector<GenerationRecord> take();

  std::int32_t generation() const { return generation_; }   ///< run so far
  std::int32_t first_generation() const { return first_; }  ///< before the first record
  GenerationRecord* records() const { return records_.data(); }
  Mailbox& mailbox() const { return *mailbox_; }

 private:
  std::vector<GenerationRecord> pending() const;

  Device& device_;
  DeviceArray<GenerationRecord> records_;
  std::shared_ptr<Mailbox> mailbox_;
  std::int32_t generation_ = 0, first_ = 0;
};

}  // namespace qnudge::cuda
