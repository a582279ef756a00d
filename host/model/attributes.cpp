// SPDX-License-Identifier: MIT
#include "attributes.hpp"

#include <cmath>

#include "refusal.hpp"

namespace qnudge {

using onnx::AttributeProto;

Attributes::Attributes(const onnx::NodeProto& node) {
  for (const AttributeProto& attribute : node.attribute()) {
    check(attribute.ref_attr_name().empty(), "attribute '{}' refers to a function's parameter",
          printable(attribute.name()));
    check(entries_.try_emplace(attribute.name(), Entry{&attribute}).second, "attribute '{}' stands twice",
          printable(attribute.name()));
  }
}

const AttributeProto* Attributes::find(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return nullptr;
  it->second.read = true;
  return it->second.attribute;
}

const AttributeProto* Attributes::typed(std::string_view name, AttributeProto::AttributeType type) {
  const AttributeProto* attribute = find(name);
  check(attribute == nullptr || attribute->type() == type, "attribute '{}' has the type {}; {} is needed", name,
        attribute == nullptr ? "" : AttributeProto::AttributeType_Name(attribute->type()),
        AttributeProto::AttributeType_Name(type));
  return attribute;
}

std::int64_t Attributes::integer(std::string_view name, std::int64_t fallback) {
  const AttributeProto* attribute = typed(name, AttributeProto::INT);
  return attribute == nullptr ? fallback : attribute->i();
}

float Attributes::real(std::string_view name, float fallback) {
  const AttributeProto* attribute = typed(name, AttributeProto::FLOAT);
  if (attribute == nullptr) return fallback;
  check(std::isfinite(attribute->f()), "attribute '{}' is {}; a finite number is needed", name, attribute->f());
  return attribute->f();
}

std::string Attributes::text(std::string_view name, std::string_view fallback) {
  const AttributeProto* attribute = typed(name, AttributeProto::STRING);
  return std::string(attribute == nullptr ? fallback : std::string_view(attribute->s()));
}

std::optional<std::vector<std::int64_t>> Attributes::integers(std::string_view name) {
  const AttributeProto* attribute = typed(name, AttributeProto::INTS);
  if (attribute == nullptr) return std::nullopt;
  return std::vector<std::int64_t>(attribute->ints().begin(), attribute->ints().end());
}

void Attributes::finish() const {
  for (const auto& [name, entry] : entries_) {
    check(entry.read, "attribute '{}' is not one of this operator", printable(name));
  }
}

}  // namespace qnudge
