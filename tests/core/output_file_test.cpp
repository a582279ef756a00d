// SPDX-License-Identifier: MIT
#include "qnudge/core/output_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/stop.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
    return error.what();
  }
  return "";
}

std::size_t entries(const TemporaryFolder& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder / ""), fs::directory_iterator()));
}

/// Nodes of every kind that no file may be renamed over.
class Nodes : public testing::Test {
 protected:
  Nodes() {
    fs::create_directory(folder_ / "folder");
    EXPECT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = (folder_ / "socket").string();
    std::copy(name.begin(), name.end(), address.sun_path);
    const FileDescriptor listener(::socket(AF_UNIX, SOCK_STREAM, 0));
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  fs::file_type type(const std::string& name) const { return fs::symlink_status(folder_ / name).type(); }

  TemporaryFolder folder_;
};

TEST_F(Nodes, OwnFilesReplaceNone) {
  for (const auto& [name, what] :
       {std::pair("folder", "it is a folder"), {"pipe", "it is a named pipe"}, {"socket", "it is a socket"}}) {
    const fs::path path = folder_ / name;
    const fs::file_type before = type(name);
    const auto message = AllOf(StartsWith(path.string() + ": cannot be written: "), HasSubstr(what));
    EXPECT_THAT(refusal([&] { write_file_atomically(path, std::string_view("x")); }), message);
    write_file_atomically(folder_ / "from", std::string_view("x"));
    EXPECT_THAT(refusal([&] { link_file_atomically(folder_ / "from", path); }), message);
    EXPECT_EQ(type(name), before);
  }
  EXPECT_EQ(entries(folder_), 4u) << "a temporary file was left behind";
}

TEST_F(Nodes, OneThatComesWhileAFileIsWrittenStays) {
  OutputFile file(folder_ / "late", OutputKind::own);
  ASSERT_EQ(::mkfifo((folder_ / "late").c_str(), 0600), 0);
  EXPECT_THAT(refusal([&] { file.commit(); }), HasSubstr("late: cannot be written: it is a named pipe"));
  EXPECT_EQ(type("late"), fs::file_type::fifo);
}

TEST_F(Nodes, ADeviceStaysOne) {
  const fs::path null = folder_ / "null";
  if (::mknod(null.c_str(), S_IFCHR | 0666, ::makedev(1, 3)) != 0) GTEST_SKIP() << "only root makes devices";
  EXPECT_THAT(refusal([&] { write_file_atomically(null, std::string_view("x")); }), HasSubstr("it is a device"));
  write_named_file(null, "x");
  fs::create_symlink("null", folder_ / "link");
  write_named_file(folder_ / "link", "x");
  EXPECT_EQ(type("null"), fs::file_type::character);
  EXPECT_EQ(type("link"), fs::file_type::symlink);
  ASSERT_EQ(::mknod((folder_ / "full").c_str(), S_IFCHR | 0666, ::makedev(1, 7)), 0);
  EXPECT_THAT(refusal([&] { write_named_file(folder_ / "full", "x"); }), HasSubstr("No space left on device"));
  EXPECT_EQ(entries(folder_), 6u);
}

TEST_F(Nodes, ANamedPipeIsWrittenTo) {
  std::string received;
  std::thread reader([&] { received = contents(folder_ / "pipe"); });
  const std::string sent(300000, 'y');  // more than a pipe holds
  write_named_file(folder_ / "pipe", sent);
  reader.join();
  EXPECT_EQ(received, sent);
  EXPECT_EQ(type("pipe"), fs::file_type::fifo);
  EXPECT_THAT(refusal([&] { write_named_file(folder_ / "pipe", sent); }),
              HasSubstr("a named pipe that nobody reads from"));
  EXPECT_THAT(refusal([&] { write_named_file(folder_ / "folder", "x"); }), HasSubstr("it is a folder"));
  EXPECT_NE(refusal([&] { write_named_file(folder_ / "socket", "x"); }), "");
  EXPECT_EQ(type("socket"), fs::file_type::socket);
}

/// What happens to `work` where a stop is asked for a little later.
ErrorKind kind_after_stop(const std::function<void()>& work) {
  StopFlag stop{false};
  std::jthread asker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    stop = true;
  });
  const StopScope scope(&stop);
  try {
    work();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "ended by itself";
  return ErrorKind::internal;
}

TEST_F(Nodes, APipeWhoseReaderStallsOrStaysAwayIsLeftByAStop) {
  const std::string sent(300000, 'y');
  const auto write = [&] { write_named_file(folder_ / "pipe", sent); };
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(kind_after_stop(write), ErrorKind::interrupted) << "nobody opens it";
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(4)) << "as long as a reader may be late: 5";
  const FileDescriptor reader(::open((folder_ / "pipe").c_str(), O_RDONLY | O_NONBLOCK));
  EXPECT_EQ(kind_after_stop(write), ErrorKind::interrupted) << "nobody reads";
}

TEST(NamedFile, AStopLeavesTheOldBytesWhileOwnFilesAreWrittenAllTheSame) {
  const TemporaryFolder folder;
  const StopFlag set{true};
  const StopScope scope(&set);
  std::ofstream(folder / "named") << "old";
  EXPECT_THROW(write_named_file(folder / "named", "new"), Error);
  EXPECT_EQ(contents(folder / "named"), "old");
  write_file_atomically(folder / "own", std::string_view("saved"));
  EXPECT_EQ(contents(folder / "own"), "saved");
  EXPECT_EQ(entries(folder), 2u) << "a temporary file was left behind";
}

TEST(NamedFile, ManyPartsMakeOneFile) {
  const TemporaryFolder folder;
  std::string bytes((std::size_t{64} << 20) + 12345, 'a');
  for (std::size_t i = 0; i < bytes.size(); i += 1013) bytes[i] = static_cast<char>(i);
  write_named_file(folder / "large", bytes);
  EXPECT_TRUE(contents(folder / "large") == bytes);
}

TEST(NamedFile, DescriptorsAreWrittenAtTheirOffset) {
  const TemporaryFolder folder;
  const FileDescriptor out(::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600));
  ASSERT_EQ(::write(out.get(), "before ", 7), 7);
  write_named_file(fmt::format("/dev/fd/{}", out.get()), "one ");
  fs::create_symlink(fmt::format("/proc/self/fd/{}", out.get()), folder / "link");
  write_named_file(folder / "link", "two ");
  ASSERT_EQ(::write(out.get(), "after", 5), 5);
  EXPECT_EQ(contents(folder / "out"), "before one two after");
  EXPECT_NE(refusal([] { write_named_file("/dev/fd/999", "x"); }), "");
}

TEST(NamedFile, LinksAreFollowedToTheirFile) {
  const TemporaryFolder folder;
  std::ofstream(folder / "target") << "old";
  fs::permissions(folder / "target", fs::perms(0640));
  fs::create_symlink("target", folder / "link");
  fs::create_symlink(folder / "link", folder / "again");
  write_named_file(folder / "again", "new");
  EXPECT_EQ(contents(folder / "target"), "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link") && fs::is_symlink(folder / "again"));
  EXPECT_EQ(fs::status(folder / "target").permissions(), fs::perms(0640));
  fs::create_symlink("nothing", folder / "dangling");
  write_named_file(folder / "dangling", "made");
  EXPECT_EQ(contents(folder / "nothing"), "made");
  fs::create_symlink("circle", folder / "circle");
  EXPECT_NE(refusal([&] { write_named_file(folder / "circle", "x"); }), "");
  EXPECT_EQ(entries(folder), 6u);
}

TEST(NamedFile, AnotherUsersLinkInAnOpenFolderIsNotFollowed) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root makes other users' links";
  const TemporaryFolder folder;
  fs::create_directory(folder / "open");
  ASSERT_EQ(::chmod((folder / "open").c_str(), 01777), 0);
  std::ofstream(folder / "victim") << "precious";
  fs::create_symlink("../victim", folder / "open/link");
  ASSERT_EQ(::lchown((folder / "open/link").c_str(), 65534, 65534), 0);
  EXPECT_THAT(refusal([&] { write_named_file(folder / "open/link", "x"); }), HasSubstr("another user"));
  EXPECT_THAT(refusal([&] { require_writable_output(folder / "open/link"); }), HasSubstr("another user"));
  EXPECT_EQ(contents(folder / "victim"), "precious");
}

TEST(OwnFile, ALinkIsReplacedAndNeverWrittenThrough) {
  const TemporaryFolder folder;
  std::ofstream(folder / "victim") << "precious";
  for (const char* name : {"tuned.onnx", "tuned.onnx.tmp"}) fs::create_symlink("victim", folder / name);
  write_file_atomically(folder / "tuned.onnx", std::string_view("new"));
  EXPECT_EQ(contents(folder / "victim"), "precious");
  EXPECT_EQ(contents(folder / "tuned.onnx"), "new");
  EXPECT_FALSE(fs::is_symlink(folder / "tuned.onnx"));
}

TEST(OwnFile, TemporaryNamesDiffer) {
  EXPECT_NE(temporary_beside("a/b"), temporary_beside("a/b"));
  EXPECT_EQ(temporary_beside("a/b").parent_path(), "a");
}

TEST(OwnFile, WhatKilledWritersLeftIsRemovedAndNothingElse) {
  const TemporaryFolder folder;
  const OutputFile alive(folder / "a", OutputKind::own);
  std::ofstream(temporary_beside(folder / "b")) << "left";
  std::ofstream(folder / ".qnudge-mine.tmp") << "another program's";
  EXPECT_EQ(entries(folder), 3u);
  remove_abandoned_output(folder / "");
  EXPECT_EQ(entries(folder), 2u);
  EXPECT_TRUE(fs::exists(folder / ".qnudge-mine.tmp"));
}

TEST(WritableOutput, IsToldWithoutWriting) {
  const TemporaryFolder folder;
  for (const char* fine : {"new.npy", "/dev/null", "/dev/stdout"}) {
    EXPECT_EQ(refusal([&] { require_writable_output(fs::path(fine).is_absolute() ? fine : folder / fine); }), "");
  }
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(refusal([&] { require_writable_output(folder / "pipe"); }), "") << "it must not wait for a reader";
  EXPECT_THAT(refusal([&] { require_writable_output(folder / "no/p.npy"); }), HasSubstr("No such file"));
  EXPECT_THAT(refusal([&] { require_writable_output(folder / ""); }), HasSubstr("it is a folder"));
  EXPECT_EQ(entries(folder), 1u);
}

TEST(SystemCall, TheReasonIsThatOfTheCall) {
  const auto opened = open_file("/nowhere/at/all", O_RDONLY);
  errno = 0;  // whatever runs between the call and the message
  ::access("/proc/self", W_OK);
  EXPECT_EQ(opened.reason(), "No such file or directory");
  EXPECT_EQ(system_call([] { return ::close(-1); }).reason(), "Bad file descriptor");
  int attempts = 0;
  const auto again = system_call([&] {
    errno = EINTR;
    return ++attempts < 3 ? -1 : 7;
  });
  EXPECT_EQ(again.value, 7);
  EXPECT_TRUE(again.ok());
  EXPECT_EQ(attempts, 3);
}

}  // namespace
}  // namespace qnudge
