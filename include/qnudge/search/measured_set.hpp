// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/backend/backend.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// Images that are evaluated as a whole and now and then, such as a test set. A set whose codes need more than
/// kBlockBytes is read and uploaded block by block at every evaluation, so that memory does not grow with it.
class MeasuredSet {
 public:
  static constexpr std::int64_t kBlockBytes = std::int64_t{1} << 28;

  /// `network` gives the input's grid; it, `session` and `dataset` must outlive the set. `block_bytes` is for tests.
  MeasuredSet(const IntNetwork& network, Session& session, const Dataset& dataset, Indices indices,
              std::int64_t block_bytes = kBlockBytes);

  /// The session's network on all of them, predictions in the order of the indices.
  Evaluation evaluate() const;

 private:
  ImagesHandle upload(std::int64_t first, std::int64_t count) const;

  const IntNetwork& network_;
  Session& session_;
  const Dataset& dataset_;
  Indices indices_;
  std::int64_t block_ = 0;  // images
  ImagesHandle resident_;   // all of them, if they are one block
};

}  // namespace qnudge
