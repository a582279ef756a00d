// SPDX-License-Identifier: MIT
#include "qnudge/quant/reference.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "qnudge-reference-4";
constexpr const char* kConstantLayers = "constant_layers";  // only there if there are some
static_assert(std::endian::native == std::endian::little, "binary blobs are little-endian");

template <class T>
json to_blob(const std::vector<T>& values) {
  json::binary_t::container_type bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return json::binary(std::move(bytes));
}

json to_json(const Reference::Set& set) {
  return {{"correct", set.correct},
          {"cross_entropy", set.cross_entropy},
          {"logits", to_blob(set.logits)},
          {"predicted", to_blob(set.predicted)},
          {"errors", to_blob(set.errors)}};
}

json to_json(const TargetTable& table) {
  std::vector<std::int32_t> exponents(table.exponents.begin(), table.exponents.end());
  return {{"images", table.images},
          {"per_image", table.per_image},
          {"exponents", to_blob(exponents)},
          {"fingerprint", table.fingerprint}};
}

std::vector<std::uint8_t> to_cbor(const Reference& reference) {
  json means = json::array();
  for (const auto& layer : reference.channel_means) means.push_back(to_blob(layer));
  std::vector<std::int32_t> exponents(reference.exponents.begin(), reference.exponents.end());
  json content{{"exponents", to_blob(exponents)},       {"channel_means", means},
               {"fitness", to_json(reference.fitness)}, {"gate", to_json(reference.gate)},
               {"test", to_json(reference.test)},       {"threshold", to_json(reference.threshold)},
               {"targets", to_json(reference.targets)}, {"inputs", reference.inputs}};
  if (!reference.constant_layers.empty()) content[kConstantLayers] = to_blob(reference.constant_layers);
  return json::to_cbor(content);
}

/// One level of the file: every key must be read, and no other may be there.
class Fields {
 public:
  Fields(const json& object, std::string where, std::size_t count) : object_(object), where_(std::move(where)) {
    require(object.is_object() && object.size() == count, ErrorKind::input, "{}: not a record of {} fields", where_,
            count);
  }

  const json& at(const char* key) const {
    const auto it = object_.find(key);
    require(it != object_.end(), ErrorKind::input, "{}: '{}' is missing", where_, key);
    return *it;
  }

  template <class T>
  std::vector<T> blob(const char* key) const {
    return blob<T>(at(key), key);
  }

  template <class T>
  std::vector<T> blob(const json& value, const char* key) const {
    require(value.is_binary() && value.get_binary().size() % sizeof(T) == 0, ErrorKind::input,
            "{}: '{}' is not a block of {}-byte numbers", where_, key, sizeof(T));
    std::vector<T> values(value.get_binary().size() / sizeof(T));
    if (!values.empty()) std::memcpy(values.data(), value.get_binary().data(), value.get_binary().size());
    return values;
  }

 private:
  const json& object_;
  std::string where_;
};

Reference::Set set_from(const json& value, const std::string& where) {
  const Fields fields(value, where, 5);
  Reference::Set set;
  set.logits = fields.blob<std::int32_t>("logits");
  set.predicted = fields.blob<std::int32_t>("predicted");
  set.errors = fields.blob<std::int64_t>("errors");
  const json& correct = fields.at("correct");
  const std::size_t n = set.predicted.size();
  require(correct.is_number_unsigned() && correct.get<std::uint64_t>() <= n, ErrorKind::input,
          "{}: 'correct' is {}; must be a count of at most {} samples", where, correct.dump(), n);
  set.correct = correct.get<std::int64_t>();
  const json& cross_entropy = fields.at("cross_entropy");
  require(cross_entropy.is_number_integer(), ErrorKind::input, "{}: 'cross_entropy' is {}; must be a sum of losses",
          where, cross_entropy.dump());
  set.cross_entropy = cross_entropy.get<std::int64_t>();
  require(set.logits.empty() || (n > 0 && set.logits.size() % n == 0), ErrorKind::input,
          "{}: {} logits do not divide among {} samples", where, set.logits.size(), n);
  return set;
}

std::vector<int> exponents_from(const Fields& fields, const std::string& where) {
  std::vector<int> exponents;
  for (const std::int32_t e : fields.blob<std::int32_t>("exponents")) {
    require(e >= -kExponentLimit && e <= kExponentLimit, ErrorKind::input,
            "{}: an exponent is {}; must lie between {} and {}", where, e, -kExponentLimit, kExponentLimit);
    exponents.push_back(e);
  }
  return exponents;
}

std::vector<std::int32_t> constant_layers_from(const Fields& fields, const std::string& where) {
  std::vector<std::int32_t> layers = fields.blob<std::int32_t>(kConstantLayers);
  const bool ascending = std::adjacent_find(layers.begin(), layers.end(), std::greater_equal<>{}) == layers.end();
  require(!layers.empty() && layers.front() >= 0 && ascending, ErrorKind::input,
          "{}: '{}' is not a list of layers in ascending order", where, kConstantLayers);
  return layers;
}

std::string text_from(const Fields& fields, const char* key, const std::string& where) {
  const json& text = fields.at(key);
  require(text.is_string(), ErrorKind::input, "{}: '{}' is not a text", where, key);
  return text.get<std::string>();
}

TargetTable targets_from(const json& value, const std::string& where) {
  const Fields fields(value, where, 4);
  const auto count = [&](const char* key) {
    const json& number = fields.at(key);
    require(number.is_number_unsigned() && number.get<std::uint64_t>() <= (1u << 31), ErrorKind::input,
            "{}: '{}' is {}; must be a count", where, key, number.dump());
    return number.get<std::int64_t>();
  };
  return {count("images"), count("per_image"), exponents_from(fields, where), text_from(fields, "fingerprint", where)};
}

Reference from_cbor(const std::vector<std::uint8_t>& bytes, const std::string& path) {
  const json content = json::from_cbor(bytes, true, false);
  require(!content.is_discarded(), ErrorKind::input, "{}: the sealed content is not CBOR", path);
  const bool has_constants = content.is_object() && content.contains(kConstantLayers);
  const Fields fields(content, path, has_constants ? 9 : 8);
  Reference reference;
  reference.exponents = exponents_from(fields, path);
  if (has_constants) reference.constant_layers = constant_layers_from(fields, path);
  const json& means = fields.at("channel_means");
  require(means.is_array(), ErrorKind::input, "{}: 'channel_means' is not a list", path);
  for (const json& layer : means) reference.channel_means.push_back(fields.blob<double>(layer, "channel_means"));
  reference.fitness = set_from(fields.at("fitness"), path + ": fitness");
  reference.gate = set_from(fields.at("gate"), path + ": gate");
  reference.test = set_from(fields.at("test"), path + ": test");
  reference.threshold = set_from(fields.at("threshold"), path + ": threshold");
  reference.targets = targets_from(fields.at("targets"), path + ": targets");
  reference.inputs = text_from(fields, "inputs", path);
  return reference;
}

}  // namespace

std::string Reference::fingerprint() const {
  const std::vector<std::uint8_t> bytes = to_cbor(*this);
  return Fingerprint().add_values(std::span(bytes)).hex();
}

void save_reference(const Reference& reference, const std::filesystem::path& path) {
  const std::vector<std::uint8_t> payload = to_cbor(reference);
  write_file_atomically(path, seal(kMagic, payload));
}

Reference load_reference(const std::filesystem::path& path) {
  return from_cbor(unseal(kMagic, read_file(path), path), path.string());
}

}  // namespace qnudge
