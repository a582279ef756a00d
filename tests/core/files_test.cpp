// SPDX-License-Identifier: MIT
#include "qnudge/core/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "support/file_size_limit.hpp"

namespace qnudge {
namespace {
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;
using Bytes = std::vector<std::uint8_t>;

class Files : public testing::Test {
 protected:
  Files()
      : folder_(fs::temp_directory_path() / fmt::format("qnudge_files_{}_{}",
                                                        testing::UnitTest::GetInstance()->current_test_info()->name(),
                                                        ::getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~Files() override { fs::remove_all(folder_); }

  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

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

TEST_F(Files, ReadGivesBackWhatWasWritten) {
  Bytes bytes(100000);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  for (const Bytes& content : {bytes, Bytes{}, Bytes{0}}) {
    write_file_atomically(folder_ / "f", content);
    EXPECT_EQ(read_file(folder_ / "f"), content);
  }
  write_file_atomically(folder_ / "f", std::string_view("text"));
  EXPECT_EQ(read_file(folder_ / "f"), (Bytes{'t', 'e', 'x', 't'}));
  EXPECT_EQ(entries(), 1u) << "a temporary file was left behind";
}

TEST_F(Files, OldContentSurvivesAFullDisk) {
  const fs::path path = folder_ / "f";
  write_file_atomically(path, std::string_view("old"));
  std::string message;
  {
    const test::FileSizeLimit full(4096);
    message = refusal(ErrorKind::usage, [&] { write_file_atomically(path, Bytes(100000, 7)); });
  }
  EXPECT_THAT(message, StartsWith(path.string() + ": cannot be written: "));
  EXPECT_EQ(read_file(path), (Bytes{'o', 'l', 'd'}));
  EXPECT_EQ(entries(), 1u) << "a temporary file was left behind";
}

TEST_F(Files, WriteNamesWhatItCannotWrite) {
  write_file_atomically(folder_ / "file", std::string_view("x"));
  fs::create_directories(folder_ / "folder" / "inside");
  for (const fs::path& bad : {folder_ / "missing" / "f", folder_ / "file" / "f", folder_ / "folder"}) {
    EXPECT_THAT(refusal(ErrorKind::usage, [&] { write_file_atomically(bad, std::string_view("y")); }),
                StartsWith(bad.string() + ": cannot be written: "));
  }
  EXPECT_EQ(entries(), 2u);
}

TEST_F(Files, ReadNamesWhatItCannotRead) {
  for (const fs::path& bad : {folder_ / "missing", folder_, fs::path("")}) {
    EXPECT_THAT(refusal(ErrorKind::input, [&] { read_file(bad); }), StartsWith(bad.string() + ": ")) << bad;
  }
}

TEST_F(Files, ReadDoesNotWaitForAPipeOrADevice) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& bad : {pipe, fs::path("/dev/zero")}) {
    EXPECT_THAT(refusal(ErrorKind::input, [&] { read_file(bad); }), HasSubstr("a file is needed")) << bad;
  }
}

TEST_F(Files, OutputFolderIsMadeWithItsParents) {
  create_output_folder(folder_ / "a" / "b");
  create_output_folder(folder_ / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
  write_file_atomically(folder_ / "file", std::string_view("x"));
  for (const fs::path& bad : {folder_ / "file", folder_ / "file" / "below", fs::path("/proc/nowhere")}) {
    EXPECT_THAT(refusal(ErrorKind::usage, [&] { create_output_folder(bad); }), StartsWith(bad.string() + ": ")) << bad;
  }
}

TEST_F(Files, AnOutputFolderIsCheckedWithoutMakingIt) {
  check_output_folder(folder_ / "a" / "b");
  check_output_folder("surely/not/here");
  write_file_atomically(folder_ / "file", std::string_view("x"));
  EXPECT_EQ(entries(), 1u);
  for (const fs::path& bad : {folder_ / "file", folder_ / "file" / "below"}) {
    EXPECT_THAT(refusal(ErrorKind::usage, [&] { check_output_folder(bad); }), HasSubstr("file is no folder"));
  }
}

TEST_F(Files, WithoutPermissionTheReasonIsPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may do anything";
  fs::create_directory(folder_ / "sealed");
  fs::permissions(folder_ / "sealed", fs::perms(0555));
  for (const auto& call : {create_output_folder, check_output_folder}) {
    EXPECT_THAT(refusal(ErrorKind::usage, [&] { call(folder_ / "sealed"); }), HasSubstr("Permission denied"));
    EXPECT_THAT(refusal(ErrorKind::usage, [&] { call(folder_ / "sealed" / "x"); }), HasSubstr("Permission denied"));
  }
}

TEST(Fingerprint, IsTheStreamedHashOfItsParts) {
  EXPECT_EQ(Fingerprint().hex(), "99aa06d3014798d86001c324468d497f");  // XXH3-128 of nothing
  const std::string text = "one two three";
  EXPECT_EQ(Fingerprint().add(text.data(), 3).add(text.data() + 3, text.size() - 3).hex(),
            Fingerprint().add(text.data(), text.size()).hex());
  EXPECT_EQ(Fingerprint().add(nullptr, 0).hex(), Fingerprint().hex());
}

TEST(Fingerprint, TellsPartsApart) {
  const auto of = [](std::string_view a, std::string_view b) { return Fingerprint().add(a).add(b).hex(); };
  EXPECT_NE(of("a", "bc"), of("ab", "c"));
  EXPECT_NE(of("", "a"), of("a", ""));
  const std::string zeros(8, '\0');
  EXPECT_NE(of("a", zeros), of("a" + zeros, ""));
  const std::vector<int> one = {1}, two = {1, 2}, tail = {2}, none = {};
  const auto values = [](std::span<const int> a, std::span<const int> b) {
    return Fingerprint().add_values(a).add_values(b).hex();
  };
  EXPECT_NE(values(one, tail), values(two, none));
  EXPECT_NE(values(none, one), values(one, none));
  EXPECT_EQ(values(two, one), values(two, one));
}

TEST(Seal, GivesThePayloadBack) {
  for (const Bytes& payload : {Bytes{}, Bytes{'\n', 0, 255}, Bytes(1000, 10)}) {
    EXPECT_EQ(unseal("kind 1", seal("kind 1", payload), "f"), payload);
  }
}

TEST(Seal, RefusesEveryCutFlippedBitAndTrailingByte) {
  const Bytes file = seal("qnudge test 1", Bytes{1, 2, 3, '\n', 0, 250});
  const auto refused = [](const Bytes& bytes) {
    return refusal(ErrorKind::input, [&] { unseal("qnudge test 1", bytes, "some.bin"); });
  };
  EXPECT_EQ(refused(file), "");
  for (std::size_t cut = 0; cut < file.size(); ++cut) {
    EXPECT_THAT(refused({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(cut)}), StartsWith("some.bin: "))
        << cut;
  }
  for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1 << bit % 8));
    EXPECT_THAT(refused(flipped), StartsWith("some.bin: ")) << bit;
  }
  Bytes longer = file;
  longer.push_back(0);
  EXPECT_THAT(refused(longer), HasSubstr("cut short or corrupted"));
}

TEST(Seal, RefusesAnotherKind) {
  const Bytes file = seal("qnudge checkpoint 1", Bytes{1});
  for (const char* other : {"qnudge checkpoint 2", "qnudge checkpoint", "qnudge checkpoint 11", ""}) {
    EXPECT_THAT(refusal(ErrorKind::input, [&] { unseal(other, file, "f"); }), HasSubstr("is not a file of kind"))
        << other;
  }
}

TEST_F(Files, LinksShareTheContentUntilOneNameIsWrittenAnew) {
  write_file_atomically(folder_ / "a", std::string_view("one"));
  link_file_atomically(folder_ / "a", folder_ / "b");
  link_file_atomically(folder_ / "a", folder_ / "b");  // the same file already: nothing is left behind
  EXPECT_EQ(fs::hard_link_count(folder_ / "a"), 2u);
  EXPECT_EQ(entries(), 2u);
  write_file_atomically(folder_ / "b", std::string_view("two"));
  EXPECT_EQ(read_file(folder_ / "a"), (Bytes{'o', 'n', 'e'}));
  link_file_atomically(folder_ / "a", folder_ / "b");
  EXPECT_EQ(read_file(folder_ / "b"), (Bytes{'o', 'n', 'e'}));
  EXPECT_EQ(entries(), 2u);
}

TEST_F(Files, ALinkThatCannotBeMadeIsOneSentence) {
  EXPECT_THROW(link_file_atomically(folder_ / "none", folder_ / "b"), Error);
  write_file_atomically(folder_ / "a", std::string_view("one"));
  EXPECT_THROW(link_file_atomically(folder_ / "a", folder_ / "no/b"), Error);
}

TEST_F(Files, AcrossFileSystemsALinkIsACopy) {
  const fs::path other = fs::path("/dev/shm") / folder_.filename();
  if (!fs::is_directory("/dev/shm")) GTEST_SKIP() << "there is no second file system";
  std::ofstream(other) << "three";
  link_file_atomically(other, folder_ / "b");
  fs::remove(other);
  EXPECT_EQ(read_file(folder_ / "b"), (Bytes{'t', 'h', 'r', 'e', 'e'}));
  EXPECT_EQ(entries(), 1u);
}

}  // namespace
}  // namespace qnudge
