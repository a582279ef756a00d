// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "config/support.hpp"

namespace qnudge {
namespace {

const std::filesystem::path kFolder = QNUDGE_SOURCE_DIR "/configs/paper";

/// A cell of the paper's tables 2 to 5, detection left out: what it calls for, and the file of its held-out config.
struct Cell {
  std::string name;  // data and network
  int bits;
  std::string format;
  std::int64_t population, generations;

  std::string file() const { return fmt::format("{}_{}bit", name, bits); }
};

std::vector<Cell> cells() {
  std::vector<Cell> all;
  const auto add = [&](const std::string& name, const std::vector<int>& widths, const std::string& format,
                       std::int64_t population, std::int64_t generations) {
    for (const int bits : widths) all.push_back({name, bits, format, population, generations});
  };
  add("cifar100_resnet18", {8, 4}, "cifar100", 32, 64);
  add("cifar100_vgg16", {8, 4}, "cifar100", 32, 64);
  add("imagenet_resnet18", {8, 6}, "image_folder", 32, 64);
  add("imagenet_vgg16", {8, 6, 5}, "image_folder", 32, 64);  // the captions say 6 bits, the text says 5
  add("swat_autoencoder", {8, 5}, "csv", 24, 30);
  return all;
}

class PaperConfig : public testing::TestWithParam<Cell> {
 protected:
  Config held_out = read(GetParam().file()), leaky = read(GetParam().file() + "_leaky");

 private:
  static Config read(const std::string& stem) {
    ::setenv("QNUDGE_DATA", "/data", 1);
    return read_config(kFolder / (stem + ".json"));
  }
};

TEST_P(PaperConfig, HoldsThePublishedHyperParameters) {
  const Cell& cell = GetParam();
  const SearchConfig& search = held_out.search;
  EXPECT_EQ(search.parents, cell.population);
  EXPECT_EQ(search.offspring, cell.population);
  EXPECT_EQ(search.generations, cell.generations);
  EXPECT_EQ(search.rate, 0.02);
  EXPECT_EQ(search.rate_end, 0);
  EXPECT_EQ(search.strategy, "layer");
  EXPECT_EQ(search.order, "sensitivity");
  EXPECT_EQ(search.sensitivity_bits, 4);
  EXPECT_EQ(search.start, "nearest");
  EXPECT_EQ(search.mutation, "uniform");
  EXPECT_EQ(search.fitness, cell.format == "csv" ? "reconstruction" : "top1");
  EXPECT_FALSE(search.gate);
  EXPECT_TRUE(search.skip.empty());
  EXPECT_EQ(held_out.stop, StopConfig{});
}

TEST_P(PaperConfig, HoldsThePublishedGridOnEveryLayer) {
  const QuantConfig& quant = held_out.quant;
  EXPECT_EQ(quant.grid.bits, GetParam().bits);
  EXPECT_EQ(quant.grid.scheme, "per_layer");
  EXPECT_EQ(quant.grid.scale, "pow2");
  EXPECT_EQ(quant.grid.range, "max");
  EXPECT_EQ(quant.activations, "half");
  EXPECT_EQ(quant.batch_norm, "separate");
  EXPECT_TRUE(quant.layers.empty());
}

TEST_P(PaperConfig, ScoresOnImagesOfItsOwn) {
  EXPECT_EQ(held_out.data.format, GetParam().format);
  EXPECT_EQ(held_out.protocol, "held_out");
  EXPECT_EQ(held_out.data.fitness, 2048);
  EXPECT_EQ(held_out.data.calibration, 2048);
  EXPECT_EQ(held_out.data.test, 0);  // all there is
}

/// Of one folder of images the leaky config tests all, the held-out one what the other sets leave.
TEST_P(PaperConfig, DiffersFromTheLeakyOneInTheProtocolAlone) {
  EXPECT_EQ(leaky.protocol, "paper");
  Config same = leaky;
  same.protocol = held_out.protocol;
  same.out = held_out.out;
  if (GetParam().format == "image_folder") {
    EXPECT_EQ(held_out.data.test_from, "train");
    EXPECT_EQ(leaky.data.test_from, "files");
    EXPECT_EQ(leaky.data.test_images, leaky.data.train_images);
    EXPECT_EQ(leaky.data.test_labels, leaky.data.train_labels);
    same.data.test_from = held_out.data.test_from;
    same.data.test_images = held_out.data.test_images;
    same.data.test_labels = held_out.data.test_labels;
  }
  EXPECT_EQ(resolved_json(same), resolved_json(held_out));
}

INSTANTIATE_TEST_SUITE_P(Cells, PaperConfig, testing::ValuesIn(cells()),
                         [](const auto& cell) { return cell.param.file(); });

TEST(PaperConfigs, AreOnePerCellAndProtocol) {
  std::set<std::string> expected, found;
  for (const Cell& cell : cells()) expected.insert({cell.file() + ".json", cell.file() + "_leaky.json"});
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    found.insert(entry.path().filename().string());
  }
  EXPECT_EQ(found, expected);
}

/// Cells of one network share its model and data, so that a sweep or a reader can compare them.
TEST(PaperConfigs, OfOneNetworkDifferInBitsAlone) {
  ::setenv("QNUDGE_DATA", "/data", 1);
  std::map<std::string, std::string> first;
  for (const Cell& cell : cells()) {
    Config config = read_config(kFolder / (cell.file() + ".json"));
    config.quant.grid.bits = 8;
    config.out.clear();
    const auto [entry, is_new] = first.emplace(cell.name, resolved_json(config));
    EXPECT_EQ(entry->second, resolved_json(config)) << cell.file();
  }
}

}  // namespace
}  // namespace qnudge
