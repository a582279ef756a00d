// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/activation.hpp"

namespace qnudge {

/// What makes an element of a convolution's sum: nearest((sum + bias) * m, low, high); with a residual nearest(element
/// * m_conv + residual * m_residual, add_low, add_high).
template <class T>
struct ConvCode {
  using A = Activation<T>;
  typename A::Bound low, high;
  float m_conv, m_residual;  ///< powers of two
  typename A::Bound add_low, add_high;

  QNUDGE_HOST_DEVICE static float scaled(typename A::Sum sum, float bias, float m) {
    return (static_cast<float>(sum) + bias) * m;
  }
  QNUDGE_HOST_DEVICE T operator()(typename A::Sum sum, float bias, float m) const {
    return A::nearest(scaled(sum, bias, m), low, high);
  }
  QNUDGE_HOST_DEVICE T operator()(typename A::Sum sum, float bias, float m, T residual) const {
    const float own = static_cast<float>(A::value((*this)(sum, bias, m)));
    return A::nearest(own * m_conv + static_cast<float>(A::value(residual)) * m_residual, add_low, add_high);
  }
};

}  // namespace qnudge
