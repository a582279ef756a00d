// SPDX-License-Identifier: MIT
// Writes what the fuzzers begin with: small inputs of every kind that a reader takes, FOLDER/<reader>/<number>.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/image_files.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/model/onnx_import.hpp"
#include "qnudge/search/checkpoint.hpp"
#include "quant/qdq_cases.hpp"
#include "support/npy.hpp"
#include "support/onnx_builder.hpp"
#include "support/random_graph.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge {
namespace {
namespace fs = std::filesystem;
using test::set;

class Seeds {
 public:
  Seeds(const fs::path& root, const std::string& reader) : folder_(root / reader) { fs::create_directories(folder_); }

  void add(const std::string& bytes) { write_file_atomically(folder_ / fmt::format("{:02}", count_++), bytes); }
  /// For a reader whose first byte chooses what it is asked for.
  void add(int options, const std::string& bytes) { add(static_cast<char>(options) + bytes); }
  /// For a reader of two files.
  void add_pair(const std::string& first, const std::string& second) {
    const auto length = static_cast<unsigned>(first.size());
    add(std::string{static_cast<char>(length & 0xff), static_cast<char>(length >> 8)} + first + second);
  }

 private:
  fs::path folder_;
  int count_ = 0;
};

std::string text(const Bytes& bytes) {
  return {bytes.begin(), bytes.end()};
}

std::string gzip(const fs::path& folder, const std::string& bytes) {
  const gzFile file = gzopen((folder / "gz").c_str(), "wb9");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return text(read_file(folder / "gz"));
}

void write_idx(const fs::path& root, const fs::path& scratch) {
  Seeds seeds(root, "idx");
  const std::string images = text(idx({0x803, 3, 2, 2}, Bytes(12, 7))), labels = text(idx({0x801, 3}, {0, 9, 4}));
  seeds.add_pair(images, labels);
  seeds.add_pair(gzip(scratch, images), labels);
  seeds.add_pair(images, gzip(scratch, labels));
  seeds.add_pair(text(idx({0x803, 1, 1, 1}, {255})), text(idx({0x801, 1}, {1})));
}

void write_cifar(const fs::path& root) {
  Seeds seeds(root, "cifar");
  seeds.add(0, '\3' + std::string(3072, 'x'));
  seeds.add(1, std::string("\1\x20") + std::string(3072, 'y'));
  seeds.add(0, std::string(2 * 3073, '\1'));
  seeds.add(0, "short");
}

void write_csv(const fs::path& root) {
  Seeds seeds(root, "csv");
  seeds.add(4, "a,b,label\n1,2.5,0\n-3e2,+4,1\n");
  seeds.add(1, "time;a;\"b c\"\r\n28/12/2015 10:00:00 AM;1,5;2\r\n28/12/2015 10:00:01 AM;2;3,25\r\n");
  seeds.add(5, "group,,\ntime,a,label\n2015-12-28 10:00:00,1,Normal\n2015-12-28T10:00:09.5,2,A ttack\n");
  seeds.add(7, "\xef\xbb\xbftime\ta\tskip\tlabel\n1\t0.5\tx\t0\n2\t.5\ty\t1\n60\t1\tz\t0\n");
  seeds.add(2, "skip,\xc3\xa4\nno,7\n\nyes,1e-300\n");
}

void write_npy(const fs::path& root, const fs::path& scratch) {
  Seeds seeds(root, "npy");
  const std::vector<float> values{1, 2, -3, 4.5f, 0, 1e30f}, marks{0, 1, 0};
  test::write_npy(scratch / "values", {3, 2}, values);
  test::write_npy(scratch / "labels", {3}, marks);
  const std::string series = text(read_file(scratch / "values")), labels = text(read_file(scratch / "labels"));
  seeds.add_pair(series, "");
  seeds.add_pair(series, labels);
  std::string bools = labels.substr(0, labels.size() - 12) + std::string("\0\1\0", 3);
  bools.replace(bools.find("<f4"), 3, "|b1");
  seeds.add_pair(series, bools);
}

void write_images(const fs::path& root, const fs::path& scratch) {
  Seeds seeds(root, "image");
  for (const std::uint32_t channels : {1u, 2u, 3u, 4u}) seeds.add(text(png(picture(9, 7, channels))));
  for (const std::uint32_t channels : {1u, 3u, 4u}) seeds.add(text(jpeg(picture(17, 10, channels), 60)));
  seeds.add(text(png(picture(40, 1, 3))));
  const Samples small = picture(5, 3);
  seeds.add("P6\n# x\n5 3\n255\n" + text(small.bytes));
  seeds.add("P5 5 3 255\n" + text(picture(5, 3, 1).bytes));
  seeds.add(text(webp(small)));
  seeds.add(text(bmp(small)));
  for (const std::uint16_t compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE}) {
    seeds.add(text(tiff(small, compression, scratch / "tiff")));
  }
}

void write_configs(const fs::path& root) {
  Seeds seeds(root, "config");
  seeds.add(R"({"model": "m.onnx", "data": {"format": "idx", "train_images": "a", "train_labels": "b",
"test_images": "c", "test_labels": "d", "mean": [0.5], "std": [0.25]}, "quant": {"grid": {"bits": 4}}})");
  seeds.add(R"({"model": "m.onnx", "recipe": "paper", "data": {"format": "image_folder", "train_images": "t",
"test_from": "train", "classes": 2, "resize": 24, "crop": 20, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]},
"search": {"parents": 3, "offspring": 4, "rate": 1e-1, "skip": ["fc"]}, "stop": {"rule": "budget"}, "seed": 7})");
  seeds.add(R"({"model": "m.onnx", "data": {"format": "csv", "train_images": ["a.csv"], "test_images": ["b.csv"],
"series": {"window": 8, "label_column": "label", "skip_columns": [], "offset": [1], "scale": [2e0]}}})");
  seeds.add(R"({"modell": null, "x": [[[]]], "\u00e4": -0.0})");
}

void write_onnx(const fs::path& root, const fs::path& scratch) {
  constexpr std::size_t kLargest = 3000;
  Seeds seeds(root, "onnx");
  for (std::uint64_t seed = 1, kept = 0; kept < 16; ++seed) {
    export_float_onnx(test::random_graph(seed), scratch / "model");
    const std::string model = text(read_file(scratch / "model"));
    if (model.size() <= kLargest) seeds.add(static_cast<int>(kept++ % 2), model);
  }
  test::OnnxBuilder folded({-1, 2, -1, -1}, 17);
  folded.floats("w", {2, 1, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  set(set(folded.node("Conv", {"x", "w"}, "c"), "group", 2), "auto_pad", "SAME_UPPER");
  for (const char* name : {"g", "b", "m", "v"}) folded.floats(name, {2}, {0.5f, 1});
  set(folded.node("BatchNormalization", {"c", "g", "b", "m", "v"}, "n"), "epsilon", 1e-3f);
  folded.node("Relu", {"n"}, "r");
  folded.node("GlobalAveragePool", {"r"}, "p");
  folded.integers("shape", {0, -1});
  folded.node("Reshape", {"p", "shape"}, "y");
  seeds.add(2, folded.output("y").bytes());
  test::OnnxBuilder moved({-1, 4, 4, 4}, 18);
  moved.integers("cut", {0, 2, 2, 4, 4});
  moved.integers("join", {0, -1, 4, 4});
  moved.node("Reshape", {"x", "cut"}, "a");
  test::attribute(moved.node("Transpose", {"a"}, "b"), "perm", onnx::AttributeProto::INTS).add_ints(0);
  for (const int axis : {2, 1, 3, 4}) moved.graph().mutable_node(1)->mutable_attribute(0)->add_ints(axis);
  moved.node("Reshape", {"b", "join"}, "c");
  set(set(moved.node("DepthToSpace", {"c"}, "d"), "blocksize", 2), "mode", "CRD");
  moved.integers("pads", {0, 0, 1, 2, 0, 0, 0, 1});
  set(moved.node("Pad", {"d", "pads"}, "e"), "mode", "reflect");
  moved.node("Shape", {"e"}, "s");
  moved.integers("at", {3});
  moved.node("Gather", {"s", "at"}, "n");
  moved.integers("one", {1});
  set(moved.node("Concat", {"one", "n"}, "ends"), "axis", 0);
  moved.integers("starts", {0, 2});
  moved.integers("axes", {1, 3});
  moved.node("Slice", {"e", "starts", "ends", "axes"}, "f");
  moved.node("Softmax", {"f"}, "y");
  seeds.add(0, moved.output("y").bytes());
  test::OnnxBuilder refused({1, 1, 4, 4});
  refused.node("Einsum", {"x"}, "e");
  seeds.add(1, refused.output("e").bytes());
}

void write_qdq(const fs::path& root) {
  constexpr std::size_t kLargest = 6000;
  Seeds seeds(root, "qdq");
  for (std::uint64_t seed = 1, kept = 0; kept < 16; ++seed) {
    const Activations activations = seed % 3 == 0 ? Activations::half : Activations::int8;
    const std::string model = to_qdq_onnx(test::random_network(seed, activations));
    if (model.size() <= kLargest) seeds.add(model), ++kept;
  }
}

void write_checkpoints(const fs::path& root, const fs::path& scratch) {
  Seeds seeds(root, "checkpoint");
  Checkpoint begun;
  begun.identity = {"m", "d", "c", "r"};
  begun.order.entries = {{.layer = 0, .name = "conv", .correct = 3, .n = 4, .squared_error = {}},
                         {.layer = 1, .name = "fc", .correct = 0, .n = 4, .squared_error = 0.5}};
  begun.position = 1;
  LayerParams params;
  params.bits = 4;
  params.codes = {1, -2}, params.scale = {0.5f}, params.bias = {7}, params.multiplier = {0.25f}, params.frozen = {1};
  begun.params = {params, params};
  begun.results.resize(1);
  begun.population.emplace();
  begun.population->parents = {1, 2}, begun.population->fitness = {9}, begun.population->gains = {1.5};
  for (const Checkpoint& checkpoint : {Checkpoint{}, begun}) {
    save_checkpoint(checkpoint, scratch / "checkpoint");
    const std::string file = text(read_file(scratch / "checkpoint"));
    seeds.add(0, file);
    std::size_t payload = 0;  // behind the lines of the seal: kind, hash, length
    for (int line = 0; line < 3; ++line) payload = file.find('\n', payload) + 1;
    seeds.add(1, file.substr(payload));
  }
}

}  // namespace
}  // namespace qnudge

int main(int count, char** arguments) {
  if (count != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
    return 2;
  }
  const std::filesystem::path root = arguments[1];
  const qnudge::test::TemporaryFolder scratch;
  qnudge::write_idx(root, scratch / "");
  qnudge::write_cifar(root);
  qnudge::write_csv(root);
  qnudge::write_npy(root, scratch / "");
  qnudge::write_images(root, scratch / "");
  qnudge::write_configs(root);
  qnudge::write_onnx(root, scratch / "");
  qnudge::write_qdq(root);
  qnudge::write_checkpoints(root, scratch / "");
}
