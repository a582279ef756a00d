// SPDX-License-Identifier: MIT
#pragma once

#include <cudnn_graph.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "library.hpp"

namespace qnudge::cuda {

/// cuDNN's name for the type of an attribute.
template <class T>
constexpr cudnnBackendAttributeType_t attribute_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<T, std::int32_t>) return CUDNN_TYPE_INT32;
  if constexpr (std::is_same_v<T, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<T, char>) return CUDNN_TYPE_CHAR;
  if constexpr (std::is_same_v<T, void*>) return CUDNN_TYPE_VOID_PTR;
  if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<T, cudnnConvolutionMode_t>) return CUDNN_TYPE_CONVOLUTION_MODE;
  if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
  if constexpr (std::is_same_v<T, cudnnBackendBehaviorNote_t>) return CUDNN_TYPE_BEHAVIOR_NOTE;
  if constexpr (std::is_same_v<T, cudnnBackendKnobType_t>) return CUDNN_TYPE_KNOB_TYPE;
}

/// One backend descriptor, owned. Everything throws Error(kind device) with cuDNN's words.
class Descriptor {
 public:
  Descriptor(const Cudnn& api, cudnnBackendDescriptorType_t type, std::string what);

  cudnnBackendDescriptor_t get() const { return handle_.get(); }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set_raw(name, attribute_type<T>(), 1, &value);
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    return set_raw(name, attribute_type<T>(), static_cast<std::int64_t>(values.size()), values.data());
  }
  // cuDNN's descriptors are void pointers, as data pointers are: they need names of their own.
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set_descriptors(name, {value.get()});
  }
  Descriptor& set_descriptors(cudnnBackendAttributeName_t name, const std::vector<cudnnBackendDescriptor_t>& values) {
    return set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(values.size()), values.data());
  }

  /// Throws unless cuDNN accepts what has been set.
  Descriptor& finalize();
  /// The same without throwing.
  cudnnStatus_t try_finalize();

  /// Up to `most` values of an attribute.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name, std::int64_t most) const {
    std::vector<T> all(static_cast<std::size_t>(most));
    const std::int64_t count = read<T>(name, most, all.data());
    all.resize(static_cast<std::size_t>(std::min(count, most)));
    return all;
  }
  /// Every value of an attribute, however many these are.
  template <class T>
  std::vector<T> all_values(cudnnBackendAttributeName_t name) const {
    return values<T>(name, read<T>(name, 0, nullptr));
  }
  /// Fills the descriptors `into` (of the attribute's type); returns how many cuDNN had to give.
  std::int64_t fill(cudnnBackendAttributeName_t name, std::vector<Descriptor>& into) const;

 private:
  struct Destroy {
    decltype(&::cudnnBackendDestroyDescriptor) destroy;
    void operator()(void* handle) const noexcept { destroy(handle); }
  };
  /// Fills up to `most` values; returns how many there are.
  template <class T>
  std::int64_t read(cudnnBackendAttributeName_t name, std::int64_t most, T* values) const {
    std::int64_t count = 0;
    check_cudnn(api_, api_.get_attribute(get(), name, attribute_type<T>(), most, &count, values),
                "to read an attribute of " + what_);
    return count;
  }
  Descriptor& set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                      const void* values);

  const Cudnn& api_;
  std::string what_;
  std::unique_ptr<void, Destroy> handle_;
};

}  // namespace qnudge::cuda
