// SPDX-License-Identifier: MIT
#include "qnudge/search/measured_set.hpp"

#include <algorithm>

#include "qnudge/core/stop.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {

MeasuredSet::MeasuredSet(const IntNetwork& network, Session& session, const Dataset& dataset, Indices indices,
                         std::int64_t block_bytes)
    : network_(network),
      session_(session),
      dataset_(dataset),
      indices_(std::move(indices)),
      block_(std::max<std::int64_t>(1, block_bytes / dataset.shape().size())) {
  const auto all = static_cast<std::int64_t>(indices_.size());
  if (all <= block_) resident_ = upload(0, all);
}

ImagesHandle MeasuredSet::upload(std::int64_t first, std::int64_t count) const {
  const auto begin = indices_.begin() + first;
  return session_.upload(make_image_set(network_, dataset_, {begin, begin + count}, nullptr));
}

Evaluation MeasuredSet::evaluate() const {
  if (resident_) return session_.evaluate(resident_);
  Evaluation total;
  const auto all = static_cast<std::int64_t>(indices_.size());
  for (std::int64_t first = 0; first < all; first += block_) {
    stop_point();
    const Evaluation part = session_.evaluate(upload(first, std::min(block_, all - first)));
    total.predicted.insert(total.predicted.end(), part.predicted.begin(), part.predicted.end());
    total.correct += part.correct;
    total.cross_entropy += part.cross_entropy;
    total.errors.insert(total.errors.end(), part.errors.begin(), part.errors.end());
  }
  return total;
}

}  // namespace qnudge
