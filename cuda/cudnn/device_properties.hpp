// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "descriptor.hpp"

namespace qnudge::cuda {

/// The device that plans are made for.
class DeviceProperties {
 public:
  /// The device that is current now.
  static DeviceProperties of_device(const Cudnn& api, int ordinal);
  /// A device described in cuDNN's JSON, which need not be present: plans are checked and compiled, not loaded.
  static DeviceProperties described(const Cudnn& api, const std::string& json);

  const Descriptor& descriptor() const { return descriptor_; }
  bool present() const { return present_; }
  /// Tells devices apart in a plan cache.
  const std::string& key() const { return key_; }

 private:
  DeviceProperties(Descriptor descriptor, bool present, std::string key)
      : descriptor_(std::move(descriptor)), present_(present), key_(std::move(key)) {}
  Descriptor descriptor_;
  bool present_;
  std::string key_;
};

}  // namespace qnudge::cuda
