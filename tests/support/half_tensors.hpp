// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge::test {

/// Values of every node for all images, as a backend with half activations gives them.
using HalfTensors = std::map<int, std::vector<double>>;

inline HalfTensors half_tensors(Backend& backend, const IntNetwork& network, const ImageSet& images) {
  HalfTensors all;
  const auto session = backend.open(network);
  session->visit_tensors(session->upload(images), [&](int node, std::span<const std::uint8_t> bytes) {
    const auto size = static_cast<std::size_t>(network.element_bytes(node));
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      float value = 0;
      Half half;
      std::memcpy(size == 4 ? static_cast<void*>(&value) : &half, bytes.data() + at, size);
      all[node].push_back(static_cast<double>(size == 4 ? value : to_float(half)));
    }
  });
  return all;
}

/// Differences of at most `share` of each tensor's largest value.
inline void expect_near(const HalfTensors& found, const HalfTensors& wanted, double share, const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size()) << what;
  for (const auto& [node, values] : wanted) {
    const std::vector<double>& own = found.at(node);
    ASSERT_EQ(own.size(), values.size()) << what << " node " << node;
    double largest = 0, apart = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      largest = std::max(largest, std::abs(values[i]));
      apart = std::max(apart, std::abs(own[i] - values[i]));
    }
    EXPECT_LE(apart, share * largest) << what << " node " << node;
  }
}

}  // namespace qnudge::test
