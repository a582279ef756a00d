// SPDX-License-Identifier: MIT
#include "qnudge/core/block_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "support/file_size_limit.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge {
namespace {
using testing::HasSubstr;
namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

template <class Call>
std::string refusal(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "";
}

TEST(BlockFile, HasItsNameOnlyOnceItIsComplete) {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "blocks";
  {
    BlockWriter abandoned(path);
    abandoned.write(0, Bytes{1, 2, 3});
    EXPECT_FALSE(fs::exists(path));
  }
  EXPECT_TRUE(fs::is_empty(path.parent_path()));
  BlockWriter file(path);
  file.write(6, Bytes{7, 8});
  file.write(0, Bytes{1, 2});
  EXPECT_FALSE(fs::exists(path));
  file.commit();
  EXPECT_EQ(read_file(path), (Bytes{1, 2, 0, 0, 0, 0, 7, 8}));
  EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator()), 2);  // and the lock

  const BlockReader reader(path);
  EXPECT_EQ(reader.size(), 8u);
  Bytes two(2);
  reader.read(6, two);
  EXPECT_EQ(two, (Bytes{7, 8}));
  EXPECT_THAT(refusal(ErrorKind::input, [&] { reader.read(7, two); }), HasSubstr("blocks: has become shorter"));
}

TEST(BlockFile, WritersTakeTurns) {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "blocks";
  std::atomic<int> inside{0};
  std::vector<std::thread> writers;
  for (std::uint8_t i = 0; i < 8; ++i) {
    writers.emplace_back([&, i] {
      BlockWriter file(path);
      EXPECT_EQ(++inside, 1);
      for (std::uint64_t at = 0; at < 200; ++at) file.write(at, Bytes{i});
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // long enough for another to come in
      --inside;
      if (i % 2 == 0) file.commit();
    });
  }
  for (std::thread& writer : writers) writer.join();
  const Bytes found = read_file(path);
  EXPECT_EQ(found, Bytes(200, found.front()));
  EXPECT_EQ(found.front() % 2, 0);
}

TEST(BlockFile, SaysWhyItCannot) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(refusal(ErrorKind::input, [&] { BlockReader(folder / "missing"); }), HasSubstr("cannot be read"));
  EXPECT_THAT(refusal(ErrorKind::input, [&] { BlockReader(folder / ""); }), HasSubstr("is not a regular file"));
  EXPECT_THAT(refusal(ErrorKind::usage, [&] { BlockWriter(folder / "missing/x"); }), HasSubstr("cannot be written"));
  const test::FileSizeLimit full(4096);
  EXPECT_THAT(refusal(ErrorKind::usage,
                      [&] {
                        BlockWriter file(folder / "full");
                        file.write(0, Bytes(10000));
                      }),
              HasSubstr("full: cannot be written: File too large"));
}

TEST(BlockFile, PlantedLinksAreNotWrittenThrough) {
  const test::TemporaryFolder folder;
  std::ofstream(folder / "victim") << "precious";
  fs::create_symlink("victim", folder / "blocks.tmp");
  {
    BlockWriter file(folder / "blocks");
    file.write(0, Bytes{1});
    file.commit();
  }
  EXPECT_EQ(test::contents(folder / "victim"), "precious");
  fs::create_symlink("victim", folder / "other.lock");
  EXPECT_THAT(refusal(ErrorKind::usage, [&] { BlockWriter(folder / "other"); }), HasSubstr("other: cannot be written"));
  EXPECT_EQ(test::contents(folder / "victim"), "precious");
}

}  // namespace
}  // namespace qnudge
