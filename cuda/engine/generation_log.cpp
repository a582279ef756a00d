// SPDX-License-Identifier: MIT
#include "generation_log.hpp"

namespace qnudge::cuda {

void GenerationLog::begin(std::int32_t generation, std::int64_t best) {
  generation_ = first_ = generation;
  mailbox_->best = best;
  mailbox_->generation = generation;
}

std::int32_t GenerationLog::expect(std::int32_t limit) {
  const std::int32_t times = limit - generation_;
  if (times <= 0) return 0;
  const std::vector<GenerationRecord> before = pending();
  records_ = {device_, before.size() + static_cast<std::size_t>(times), "the history"};
  records_.set(before);
  return times;
}

std::vector<GenerationRecord> GenerationLog::pending() const {
  std::vector<GenerationRecord> records(static_cast<std::size_t>(generation_ - first_));
  if (!records.empty()) device_.download(records.data(), records_.data(), records.size() * sizeof(GenerationRecord));
  return records;
}

std::vector<GenerationRecord> GenerationLog::take() {
  std::vector<GenerationRecord> records = pending();
  first_ = generation_;
  return records;
}

}  // namespace qnudge::cuda
