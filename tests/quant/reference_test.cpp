// SPDX-License-Identifier: MIT
#include "qnudge/quant/reference.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

using nlohmann::json;

Reference sample() {
  Reference r;
  r.exponents = {-5, 0, 7, -60};
  r.constant_layers = {0, 2};
  r.channel_means = {{0.1, -2.5e-300}, {}, {3.0}};
  r.fitness = {{1, -2, 3, 4, 5, 1 << 30}, {0, 1, 2}, 2};
  r.gate = {{7, 8}, {1}, 0};
  r.test = {{}, {4, 3, 2, 1}, 4};
  r.test.cross_entropy = std::int64_t{5} << 40;
  r.threshold = {{}, {}, 0, {1ll << 40, 0}};
  r.targets = {7, 30, {-9, 3}, "feed"};
  r.inputs = "abc";
  return r;
}

class ReferenceFile : public testing::Test {
 protected:
  ReferenceFile()
      : path_(std::filesystem::temp_directory_path() / ("qnudge_reference_" + std::to_string(::getpid()) + ".bin")) {}
  ~ReferenceFile() override { std::filesystem::remove(path_); }

  void expect_refused(const std::string& what) {
    try {
      load_reference(path_);
      ADD_FAILURE() << "accepted: " << what;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << what;
      EXPECT_NE(std::string(error.what()).find(path_.string()), std::string::npos) << error.what();
    }
  }
  json content() {
    save_reference(sample(), path_);
    return json::from_cbor(unseal("qnudge-reference-4", read_file(path_), path_));
  }
  void put(std::span<const std::uint8_t> bytes) {
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  void write(const std::vector<std::uint8_t>& payload) { put(seal("qnudge-reference-4", payload)); }

  std::filesystem::path path_;
};

TEST_F(ReferenceFile, ComesBackAsItWas) {
  save_reference(sample(), path_);
  const Reference r = load_reference(path_);
  EXPECT_EQ(r.exponents, sample().exponents);
  EXPECT_EQ(r.constant_layers, sample().constant_layers);
  EXPECT_EQ(r.channel_means, sample().channel_means);
  EXPECT_EQ(r.fitness.logits, sample().fitness.logits);
  EXPECT_EQ(r.fitness.predicted, sample().fitness.predicted);
  EXPECT_EQ(r.fitness.correct, 2);
  EXPECT_EQ(r.gate.logits, sample().gate.logits);
  EXPECT_EQ(r.test.predicted, sample().test.predicted);
  EXPECT_EQ(r.threshold.errors, sample().threshold.errors);
  EXPECT_TRUE(r.test.logits.empty());
  EXPECT_EQ(r.targets, sample().targets);
  EXPECT_EQ(r.inputs, "abc");
  EXPECT_EQ(r.fingerprint(), sample().fingerprint());

  save_reference(Reference{}, path_);
  EXPECT_EQ(load_reference(path_).fingerprint(), Reference{}.fingerprint());
}

TEST_F(ReferenceFile, FingerprintSeesEveryField) {
  const std::vector<std::function<void(Reference&)>> changes = {
      [](Reference& r) { r.exponents[1] = 1; },          [](Reference& r) { r.constant_layers[1] = 1; },
      [](Reference& r) { r.constant_layers.clear(); },   [](Reference& r) { r.channel_means[0][1] = 0.0; },
      [](Reference& r) { r.fitness.logits[0] = 2; },     [](Reference& r) { r.fitness.predicted[2] = 0; },
      [](Reference& r) { r.fitness.correct = 1; },       [](Reference& r) { r.gate.logits[1] = 0; },
      [](Reference& r) { r.test.cross_entropy = 3; },    [](Reference& r) { r.threshold.errors[1] = 1; },
      [](Reference& r) { r.test.predicted[3] = 9; },     [](Reference& r) { r.inputs = "abd"; },
      [](Reference& r) { r.targets.images = 8; },        [](Reference& r) { r.targets.per_image = 1; },
      [](Reference& r) { r.targets.exponents[1] = 4; },  [](Reference& r) { r.targets.fingerprint = "feet"; },
      [](Reference& r) { std::swap(r.fitness, r.gate); }};
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Reference r = sample();
    changes[i](r);
    EXPECT_NE(r.fingerprint(), sample().fingerprint()) << i;
  }
}

TEST_F(ReferenceFile, RefusesEveryCutAndEveryFlippedByte) {
  save_reference(sample(), path_);
  const std::vector<std::uint8_t> whole = read_file(path_);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    put(std::span(whole).first(i));
    expect_refused("cut at " + std::to_string(i));
    std::vector<std::uint8_t> flipped = whole;
    flipped[i] ^= 0x10;
    put(flipped);
    expect_refused("flipped at " + std::to_string(i));
  }
  std::filesystem::remove(path_);
  expect_refused("missing");
}

TEST_F(ReferenceFile, RefusesSealedContentThatIsNotAReference) {
  const json good = content();
  const json blob = json::binary({1, 2, 3, 4});
  const auto refuse = [&](const std::string& what, const std::function<void(json&)>& change) {
    json bad = good;
    change(bad);
    write(json::to_cbor(bad));
    expect_refused(what);
  };
  for (const auto& [key, value] : good.items()) {
    if (key != "constant_layers") refuse("without " + key, [&](json& j) { j.erase(key); });
    for (const json& wrong : {json(nullptr), json(1.5), json(-1), json(json::array({1})), json(json::object()),
                              json(json::binary({1, 2, 3}))}) {
      refuse(key + " = " + wrong.type_name(), [&](json& j) { j[key] = wrong; });
    }
  }
  refuse("a sum of losses that is none", [](json& j) { j["test"]["cross_entropy"] = "5"; });
  refuse("extra field", [](json& j) { j["extra"] = 1; });
  refuse("no object", [](json& j) { j = json::array({1}); });
  for (const char* key : {"correct", "logits", "predicted", "errors"}) {
    refuse(std::string("set without ") + key, [&](json& j) { j["gate"].erase(key); });
    refuse(std::string("set with text ") + key, [&](json& j) { j["gate"][key] = "x"; });
  }
  for (const char* key : {"images", "per_image", "exponents", "fingerprint"}) {
    refuse(std::string("targets without ") + key, [&](json& j) { j["targets"].erase(key); });
    refuse(std::string("targets with wrong ") + key, [&](json& j) { j["targets"][key] = -1; });
  }
  refuse("too many correct", [](json& j) { j["fitness"]["correct"] = 4; });
  refuse("negative correct", [](json& j) { j["fitness"]["correct"] = -1; });
  refuse("logits that do not divide", [&](json& j) { j["fitness"]["logits"] = blob; });
  refuse("logits without samples", [&](json& j) {
    j["test"] = {{"correct", 0}, {"logits", blob}, {"predicted", json::binary({})}, {"errors", json::binary({})}};
  });
  refuse("half an error", [&](json& j) { j["threshold"]["errors"] = blob; });
  refuse("mean of half a number", [&](json& j) { j["channel_means"][0] = blob; });
  refuse("no constant layers", [](json& j) { j["constant_layers"] = json::binary({}); });
  refuse("constant layers out of order", [](json& j) {
    j["constant_layers"] = json::binary({1, 0, 0, 0, 1, 0, 0, 0});
  });
  refuse("a constant layer below 0", [](json& j) { j["constant_layers"] = json::binary({255, 255, 255, 255}); });
  refuse("exponent out of range", [&](json& j) { j["exponents"] = blob; });
}

TEST_F(ReferenceFile, RefusesSealedBytesThatAreNotCbor) {
  std::vector<std::uint8_t> payload = json::to_cbor(content());
  payload.push_back(0);
  write(payload);
  expect_refused("trailing byte");
  write({});
  expect_refused("empty");
  write({0xff, 0xff});
  expect_refused("garbage");
  write({0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});  // an object of 2^64 - 1 entries
  expect_refused("huge");
  write_file_atomically(path_, seal("qnudge-reference-1", json::to_cbor(content())));
  expect_refused("another version");
}

}  // namespace
}  // namespace qnudge
