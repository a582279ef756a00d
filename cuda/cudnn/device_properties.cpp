// SPDX-License-Identifier: MIT
#include "device_properties.hpp"

#include <cstdint>

namespace qnudge::cuda {

DeviceProperties DeviceProperties::of_device(const Cudnn& api, int ordinal) {
  Descriptor d(api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "the device's properties");
  d.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, static_cast<std::int32_t>(ordinal)).finalize();
  const std::vector<char> json = d.values<char>(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, 1 << 14);
  std::string key(json.begin(), json.end());
  key.erase(key.find_last_not_of('\0') + 1);
  return {std::move(d), true, std::move(key)};
}

DeviceProperties DeviceProperties::described(const Cudnn& api, const std::string& json) {
  Descriptor d(api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "a description of a device");
  d.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(json.begin(), json.end())).finalize();
  return {std::move(d), false, json};
}

}  // namespace qnudge::cuda
