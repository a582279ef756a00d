// SPDX-License-Identifier: MIT
#include <cmath>
#include <span>
#include <type_traits>

#include "cuda/engine/primitives.hpp"
#include "quant_constants.hpp"

namespace qnudge::cuda {
namespace {

const FloatNormalise& normalise_of(const IntNode& node) {
  return std::get<IntNormalise>(node.what).normalise;
}

template <class T>
void append(const DeviceStep& step) {
  const IntNode& node = step.node();
  const FloatNormalise& what = normalise_of(node);
  const Extents whole = Extents::of(node.shape, step.candidates);
  const NormGroups groups{whole, what.area ? node.shape.h : 1, what.area ? node.shape.w : 1, what.channels};
  const std::int64_t count = step.images * groups.per_image();
  const Strides to = Strides::dense(whole);
  const Strides from = Strides::broadcast(Extents::of(node.shape, step.shared[0] ? 1 : step.candidates), whole);
  const int in_exponent = step.network.description().at(node.inputs[0]).exponent;
  if (what.kind != NormaliseKind::softmax) {
    const auto* const gain = step.network.constants<double>(step.index);
    const auto [low, high] = element_bounds<T>(node);
    const double epsilon = moment_constants(step.network.description(), node).epsilon;
    step.for_each(
        NormaliseMoments<T>{step.in<T>(0), step.out<T>(), groups, from, to, what.kind == NormaliseKind::standard,
                            epsilon, gain, gain + node.shape.c, low, high},
        count);
  } else if constexpr (std::is_same_v<T, std::int8_t>) {
    step.for_each(SoftmaxCodes{step.in<T>(0), step.out<T>(), groups, from, to,
                               step.network.constants<std::int32_t>(step.index), -node.exponent},
                  count);
  } else {
    step.for_each(SoftmaxHalves{step.in<T>(0), step.out<T>(), groups, from, to, std::ldexp(1.0f, in_exponent),
                                std::ldexp(1.0f, -node.exponent)},
                  count);
  }
}

std::vector<std::byte> constants(const IntNetwork& network, const IntNode& node) {
  const auto copy = [](auto values) {
    const auto bytes = std::as_bytes(std::span(values));
    return std::vector<std::byte>(bytes.begin(), bytes.end());
  };
  if (normalise_of(node).kind == NormaliseKind::softmax) return copy(std::get<IntNormalise>(node.what).exponentials);
  MomentConstants all = moment_constants(network, node);
  all.gain.insert(all.gain.end(), all.shift.begin(), all.shift.end());
  return copy(std::move(all.gain));
}

std::optional<std::string> reject(const IntNetwork&, const IntNode& node, bool flattened) {
  return flattened ? std::optional(flattened_has_no_form(node)) : std::nullopt;
}

}  // namespace

const DeviceFacet device_facets::normalise = {.codes = append<std::int8_t>,
                                              .halves = append<Half>,
                                              .reject = reject,
                                              .constants = constants,
                                              .constants_name = "constants"};

}  // namespace qnudge::cuda
