// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "device_network.hpp"
#include "qnudge/backend/element.hpp"
#include "qnudge/cuda/commands.hpp"

namespace qnudge::cuda {

/// One node for one chunk of images, as far as its commands need it.
struct DeviceStep {
  const DeviceNetwork& network;
  int index;  ///< of the node
  std::int64_t images, candidates;
  std::vector<const std::byte*> inputs;  ///< tensors of codes or halves, [N, H, W, P, C], without P where shared
  std::vector<bool> shared;              ///< inputs that all candidates share
  std::byte* output;
  Program& program;
  int stream;

  const IntNode& node() const { return network.description().at(index); }
  std::int64_t count() const { return images * node().shape.size() * candidates; }
  /// Shape in which the bytes of input i lie.
  const Shape& physical(std::size_t i) const { return network.physical(node().inputs[i]); }
  template <class T>
  const T* in(std::size_t i) const {
    return reinterpret_cast<const T*>(inputs[i]);
  }
  template <class T>
  T* out() const {
    return reinterpret_cast<T*>(output);
  }
  void for_each(ForEach::Op op, std::int64_t elements) const { program.add(stream, ForEach{op, elements}); }
};

/// What a primitive is on a device. A null pointer: the answer that its comment names.
struct DeviceFacet {
  /// Appends the commands of a node between codes and between halves (null: none; layers are RunConv).
  void (*codes)(const DeviceStep&) = nullptr;
  void (*halves)(const DeviceStep&) = nullptr;
  /// Whether the output lies element by element as the first input does (null: no).
  bool (*keeps_form)(const IntNode&) = nullptr;
  /// Why the node has no command, if so; `flattened`: its first input lies in another shape than the node sees
  /// (null: it has).
  std::optional<std::string> (*reject)(const IntNetwork&, const IntNode&, bool flattened) = nullptr;
  /// Bytes that the commands read beside the tensors, under `constants_name` in messages (null: none).
  std::vector<std::byte> (*constants)(const IntNetwork&, const IntNode&) = nullptr;
  const char* constants_name = "";
};

/// The row of the table for this node.
const DeviceFacet& device_facet(const IntNode& node);

/// Why a window or filter cannot read a flattened tensor: it keeps its pixels, with candidates between them and the
/// channels.
std::string flattened_has_no_form(const IntNode& node);

/// Defined in the rooms, host/primitives/<name>/device.cpp.
namespace device_facets {
extern const DeviceFacet input, layer, table, combine, window, move, mix, product, normalise;
}

}  // namespace qnudge::cuda
