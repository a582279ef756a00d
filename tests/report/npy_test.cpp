// SPDX-License-Identifier: MIT
#include "qnudge/report/npy.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <string>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

TEST(Npy, WritesHeaderAndValues) {
  const test::TemporaryFolder folder;
  const std::vector<std::int32_t> values = {1, -2, 3, 4, 5, 6};
  write_npy(folder / "a.npy", values, {2, 3});
  const std::string file = test::contents(folder / "a.npy");
  ASSERT_GE(file.size(), 10u);
  EXPECT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  const std::size_t header = static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]);
  EXPECT_EQ((10 + header) % 64, 0u);
  EXPECT_EQ(file[10 + header - 1], '\n');
  EXPECT_NE(file.find("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3,), }"), std::string::npos);
  ASSERT_EQ(file.size(), 10 + header + values.size() * 4);
  EXPECT_EQ(std::memcmp(file.data() + 10 + header, values.data(), values.size() * 4), 0);
}

TEST(Npy, FloatsAndEmptyArrays) {
  const test::TemporaryFolder folder;
  write_npy(folder / "f.npy", std::vector<float>{0.5f}, {1, 1, 1, 1});
  EXPECT_NE(test::contents(folder / "f.npy").find("'<f4'"), std::string::npos);
  write_npy(folder / "e.npy", std::vector<float>{}, {0});
  EXPECT_EQ(test::contents(folder / "e.npy").size() % 64, 0u);
}

TEST(Npy, RefusesWrongShapesAndPlaces) {
  const test::TemporaryFolder folder;
  EXPECT_THROW(write_npy(folder / "x.npy", std::vector<float>{1, 2}, {3}), Error);
  EXPECT_FALSE(std::filesystem::exists(folder / "x.npy"));
  EXPECT_THROW(write_npy(folder / "missing/x.npy", std::vector<float>{1}, {1}), Error);
}

}  // namespace
}  // namespace qnudge
