// SPDX-License-Identifier: MIT
// Where models and their weights stand: external data, several outputs, files that are already quantised.
#include <filesystem>
#include <fstream>

#include "import_support.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::test {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void describe_external(onnx::TensorProto& tensor, const std::string& key, const std::string& value) {
  onnx::StringStringEntryProto& entry = *tensor.add_external_data();
  entry.set_key(key);
  entry.set_value(value);
}

/// A 1x1 convolution whose four weights are said to be at `offset` of `location`.
OnnxBuilder external_model(const std::string& location, const std::string& offset, const std::string& length) {
  OnnxBuilder model({-1, 2, 3, 3});
  onnx::TensorProto& w = model.initializer("w", {2, 2, 1, 1}, onnx::TensorProto::FLOAT);
  w.set_data_location(onnx::TensorProto::EXTERNAL);
  describe_external(w, "location", location);
  if (!offset.empty()) describe_external(w, "offset", offset);
  if (!length.empty()) describe_external(w, "length", length);
  model.node("Conv", {"x", "w"}, "y");
  return model.output("y");
}

class ExternalData : public ::testing::Test {
 protected:
  ExternalData() {
    const float values[] = {9, 1, 2, 3, 4, 9};
    fs::create_directories(folder_ / "inside");
    for (const fs::path& path : {folder_ / "w.data", folder_ / "inside/w.data"}) {
      std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(values), sizeof values);
    }
  }
  std::vector<float> weights(const OnnxBuilder& model) {
    return layer_of(import_onnx(model.save(folder_ / "inside/m.onnx")).nodes.at(1)).weights;
  }
  std::string refusal_of(const OnnxBuilder& model) {
    try {
      weights(model);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      return error.what();
    }
    ADD_FAILURE() << "was accepted";
    return "";
  }

  TemporaryFolder temporary_;
  const fs::path folder_ = temporary_ / "models";
};

TEST_F(ExternalData, IsReadFromBesideTheModel) {
  EXPECT_THAT(weights(external_model("w.data", "4", "16")), ElementsAre(1, 2, 3, 4));
  fs::create_directories(folder_ / "inside/deeper");
  fs::copy_file(folder_ / "w.data", folder_ / "inside/deeper/w");
  EXPECT_THAT(weights(external_model("deeper/w", "8", "16")), ElementsAre(2, 3, 4, 9));
  fs::create_symlink("w.data", folder_ / "inside/link");
  EXPECT_THAT(weights(external_model("link", "4", "16")), ElementsAre(1, 2, 3, 4));
  const Examination found = examine_onnx(external_model("w.data", "4", "16").save(folder_ / "inside/m.onnx"));
  EXPECT_EQ(layer_of(found.graph.nodes.at(1)).filter.size(), 4);
}

TEST_F(ExternalData, NeverLeavesTheFolderOfTheModel) {
  EXPECT_THAT(refusal_of(external_model("../w.data", "4", "16")), HasSubstr("no path below the model's folder"));
  EXPECT_THAT(refusal_of(external_model("a/../../w.data", "4", "16")), HasSubstr("no path below the model's folder"));
  EXPECT_THAT(refusal_of(external_model((folder_ / "w.data").string(), "4", "16")), HasSubstr("no path below"));
  EXPECT_THAT(refusal_of(external_model("", "4", "16")), HasSubstr("no path below"));
  fs::create_symlink(folder_ / "w.data", folder_ / "inside/away");
  EXPECT_THAT(refusal_of(external_model("away", "4", "16")), HasSubstr("links out of the model's folder"));
  fs::create_directory_symlink(folder_, folder_ / "inside/up");
  EXPECT_THAT(refusal_of(external_model("up/w.data", "4", "16")), HasSubstr("links out of the model's folder"));
}

TEST_F(ExternalData, MustBeWhereTheModelSays) {
  EXPECT_THAT(refusal_of(external_model("none", "0", "16")), HasSubstr("does not stand beside the model"));
  EXPECT_THAT(refusal_of(external_model("w.data", "12", "16")),
              HasSubstr("16 bytes from byte 12 of 'w.data', which has 24"));
  EXPECT_THAT(refusal_of(external_model("w.data", "4", "12")), HasSubstr("claims the shape [2, 2, 1, 1] but holds 3"));
  EXPECT_THAT(refusal_of(external_model("w.data", "-4", "16")), HasSubstr("offset '-4'"));
  EXPECT_THAT(refusal_of(external_model("w.data", "4", "99999999999999999999")), HasSubstr("length '9999"));
  fs::create_directories(folder_ / "inside/folder");
  EXPECT_THAT(refusal_of(external_model("folder", "0", "16")), HasSubstr("is a folder; a file is needed"));
}

TEST(Outputs, OneOfSeveralCountsAndTheRestIsDropped) {
  OnnxBuilder model({-1, 2, 4, 4});
  model.node("Relu", {"x"}, "a");
  model.node("LSTM", {"x"}, "aux");
  model.output("aux").output("a");
  EXPECT_THAT(refusal(model), HasSubstr("has the outputs 'aux', 'a'; set model_output"));
  EXPECT_THAT(refusal(model, {.output = "b"}), HasSubstr("has no output 'b' (model_output); it has 'aux', 'a'"));
  EXPECT_EQ(import(model, {.output = "a"}).nodes.size(), 2u);
  EXPECT_THAT(refusal(model, {.output = "aux"}), HasSubstr("recurrent networks are not supported"));
}

TEST(Inputs, ThatTheOutputDoesNotNeedAreIgnored) {
  OnnxBuilder model({-1, 2, 4, 4});
  model.input("mask", {1, 7});
  model.node("Relu", {"x"}, "y");
  model.node("Relu", {"mask"}, "z");
  model.output("y");
  EXPECT_EQ(import(model).input_name, "x");
}

TEST(Quantised, FilesAreNamedAsWhatTheyAre) {
  const auto with = [](const char* type, int count) {
    OnnxBuilder model({-1, 2, 4, 4});
    for (int i = 0; i < count; ++i) model.node(type, {i == 0 ? "x" : fmt::format("q{}", i)}, fmt::format("q{}", i + 1));
    return refusal(model.output(fmt::format("q{}", count)));
  };
  EXPECT_THAT(with("DequantizeLinear", 3), HasSubstr("already quantised (QDQ: 3 DequantizeLinear)"));
  EXPECT_THAT(with("QLinearConv", 2), HasSubstr("already quantised (QOperator: 2 QLinearConv)"));
  EXPECT_THAT(with("DynamicQuantizeLinear", 1), HasSubstr("already quantised (dynamic: 1 DynamicQuantizeLinear)"));
  EXPECT_THAT(with("MatMulInteger", 1), HasSubstr("give the float model that it was made from"));
}

TEST(Tensors, BrainFloatsAreRead) {
  OnnxBuilder model({-1, 2, 1, 1});
  onnx::TensorProto& w = model.initializer("w", {1, 2, 1, 1}, onnx::TensorProto::BFLOAT16);
  const std::uint16_t bits[] = {0x3FC0, 0xC010};  // 1.5, -2.25
  w.set_raw_data(bits, sizeof bits);
  model.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(layer_of(import(model.output("y")).nodes.at(1)).weights, ElementsAre(1.5f, -2.25f));
}

TEST(Tensors, HalfFloatsAreExactIncludingTheSmallest) {
  OnnxBuilder model({-1, 4, 1, 1});
  onnx::TensorProto& w = model.initializer("w", {1, 4, 1, 1}, onnx::TensorProto::FLOAT16);
  const std::uint16_t bits[] = {0x8001, 0x03FF, 0x0400, 0xFBFF};
  w.set_raw_data(bits, sizeof bits);
  model.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(layer_of(import(model.output("y")).nodes.at(1)).weights,
              ElementsAre(-0x1p-24f, 1023 * 0x1p-24f, 0x1p-14f, -65504.0f));
}

}  // namespace
}  // namespace qnudge::test
