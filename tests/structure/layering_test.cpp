// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "structure/source_tree.hpp"

namespace qnudge::structure {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

SourceFile file(const std::string& path, const std::vector<std::string>& lines) {
  SourceFile made{.path = path, .text = {}, .lines = lines};
  for (const std::string& line : lines) made.text += line + "\n";
  return made;
}

/// Violations of one planted line in `path`, in a tree where each layer has the header h.hpp.
std::vector<std::string> planted(const std::string& path, const std::string& line) {
  std::vector<SourceFile> files = {file(path, {"// SPDX-License-Identifier: MIT", line})};
  for (const char* layer :
       {"core", "config", "data", "model", "quant", "kernels", "backend", "cpu", "cuda", "search", "report", "cli"}) {
    files.push_back(file(std::string("include/qnudge/") + layer + "/h.hpp", {}));
  }
  files.push_back(file("host/search/beside.hpp", {}));
  files.push_back(file("cuda/part/inside.hpp", {}));
  files.push_back(file("host/cpu/private.hpp", {}));
  files.push_back(file("host/primitives/room/cpu_part.hpp", {}));
  return layering_violations(files);
}

TEST(Layering, HoldsInThisRepository) {
  const std::vector<SourceFile> files = read_sources(QNUDGE_SOURCE_DIR);
  ASSERT_GT(files.size(), 50u) << "the tree was not found";
  EXPECT_THAT(layering_violations(files), IsEmpty());
}

TEST(Layering, AllowsOwnLayerAndThoseToTheLeft) {
  EXPECT_THAT(planted("host/core/x.cpp", "#include \"qnudge/core/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("include/qnudge/kernels/x.hpp", "#include \"qnudge/quant/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/cpu/x.cpp", "#include \"qnudge/backend/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/search/x.cpp", "#include \"beside.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/cli/x.cpp", "#include \"qnudge/cpu/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/main.cpp", "#include \"qnudge/report/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("cuda/x.cu", "#include <cudnn.h>"), IsEmpty());
  EXPECT_THAT(planted("cuda/x.cu", "#include \"cuda/part/inside.hpp\""), IsEmpty());
}

TEST(Layering, KnowsTheFacetsOfARoom) {
  EXPECT_THAT(planted("host/primitives/room/qdq.cpp", "#include \"qnudge/quant/h.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/primitives/room/cpu.cpp", "#include \"host/cpu/private.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/primitives/room/cpu.cpp", "#include \"cpu_part.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/primitives/room/device.cpp", "#include \"cuda/part/inside.hpp\""), IsEmpty());
  EXPECT_THAT(planted("host/primitives/room/model.cpp", "#include \"qnudge/quant/h.hpp\""),
              ElementsAre(HasSubstr("layer quant")));
  EXPECT_THAT(planted("host/primitives/room/quant.cpp", "#include \"cpu_part.hpp\""),
              ElementsAre(HasSubstr("layer cpu")));
  EXPECT_THAT(planted("host/primitives/room/device.cpp", "#include \"host/cpu/private.hpp\""),
              ElementsAre(HasSubstr("same folder")));
  EXPECT_THAT(planted("host/cpu/x.cpp", "#include \"host/cpu/private.hpp\""), ElementsAre(HasSubstr("same folder")));
}

TEST(Layering, RefusesALayerToTheRight) {
  EXPECT_THAT(
      planted("host/core/x.cpp", "#include \"qnudge/config/h.hpp\""),
      ElementsAre(HasSubstr("host/core/x.cpp:2: includes qnudge/config/h.hpp, which is of layer config; core may "
                            "include core")));
  EXPECT_THAT(planted("include/qnudge/quant/x.hpp", "#include \"qnudge/kernels/h.hpp\""),
              ElementsAre(HasSubstr("kernels")));
  EXPECT_THAT(planted("host/report/x.cpp", "  #  include   \"qnudge/cli/h.hpp\""), ElementsAre(HasSubstr("cli")));
}

TEST(Layering, KeepsBackendsApartFromEverythingButTheCommandLine) {
  for (const char* path : {"host/search/x.cpp", "host/report/x.cpp", "cuda/x.cu", "host/backend/x.cpp"}) {
    EXPECT_THAT(planted(path, "#include \"qnudge/cpu/h.hpp\""), ElementsAre(HasSubstr("layer cpu"))) << path;
  }
  for (const char* path : {"host/search/x.cpp", "host/report/x.cpp", "host/cpu/x.cpp"}) {
    EXPECT_THAT(planted(path, "#include \"qnudge/cuda/h.hpp\""), ElementsAre(HasSubstr("layer cuda"))) << path;
  }
  EXPECT_THAT(planted("host/cpu/x.cpp", "#include \"qnudge/search/h.hpp\""), ElementsAre(HasSubstr("layer search")));
}

TEST(Layering, RefusesCudaAndRandom123OutsideTheirPlace) {
  for (const char* header :
       {"cuda_runtime.h", "cudnn.h", "curand_kernel.h", "cub/cub.cuh", "thrust/sort.h", "cuda/std/span"}) {
    EXPECT_THAT(planted("host/cpu/x.cpp", std::string("#include <") + header + ">"), ElementsAre(HasSubstr("CUDA")));
  }
  EXPECT_THAT(planted("host/cpu/x.cpp", "#include <Random123/philox.h>"), ElementsAre(HasSubstr("Random123")));
}

TEST(Layering, RefusesDetours) {
  EXPECT_THAT(planted("host/report/x.cpp", "#include \"../search/beside.hpp\""), ElementsAre(HasSubstr("same folder")));
  EXPECT_THAT(planted("host/report/x.cpp", "#include \"beside.hpp\""), ElementsAre(HasSubstr("same folder")));
  EXPECT_THAT(planted("host/cli/x.cpp", "#include \"cuda/part/inside.hpp\""), ElementsAre(HasSubstr("same folder")));
  EXPECT_THAT(planted("host/report/x.cpp", "#include <qnudge/core/h.hpp>"), ElementsAre(HasSubstr("quotes")));
  EXPECT_THAT(planted("host/report/x.cpp", "#include \"qnudge/core/none.hpp\""), ElementsAre(HasSubstr("exist")));
  EXPECT_THAT(planted("host/extra/x.cpp", ""), ElementsAre(HasSubstr("'extra' is no layer")));
}

}  // namespace
}  // namespace qnudge::structure
