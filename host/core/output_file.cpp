// SPDX-License-Identifier: MIT
#include "qnudge/core/output_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = ".qnudge-", kSuffix = ".tmp";
constexpr int kMostLinks = 40;  // as the kernel

template <class... Args>
[[noreturn]] void refuse(const fs::path& path, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::usage, "{}: cannot be written: {}", path.string(), fmt::format(format, std::forward<Args>(args)...));
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

/// What a path names, a link itself; none where there is nothing. `where` is the path for the message.
std::optional<struct stat> look_at(const fs::path& path, const fs::path& where) {
  struct stat info {};
  const auto looked = system_call([&] { return ::lstat(path.c_str(), &info); });
  if (looked.error == ENOENT) return std::nullopt;
  if (!looked.ok()) refuse(where, "{}", looked.reason());
  return info;
}

const char* kind_of(mode_t mode) {
  return S_ISDIR(mode)    ? "a folder"
         : S_ISCHR(mode)  ? "a device"
         : S_ISBLK(mode)  ? "a block device"
         : S_ISFIFO(mode) ? "a named pipe"
                          : "a socket";
}

bool is_written_directly(mode_t mode) {
  return S_ISCHR(mode) || S_ISFIFO(mode) || S_ISSOCK(mode);
}

/// The rule of the kernel's protected_symlinks: elsewhere a link is the folder's owner's word.
void require_trusted_link(const fs::path& link, uid_t owner, const fs::path& where) {
  struct stat folder {};
  const auto looked = system_call([&] { return ::stat(folder_of(link).c_str(), &folder); });
  if (!looked.ok()) refuse(where, "{}", looked.reason());
  const bool open_to_all = (folder.st_mode & S_IWOTH) != 0;
  if (open_to_all && owner != ::geteuid() && owner != folder.st_uid) {
    refuse(where, "it is a link that another user has put into a folder where everybody may write");
  }
}

/// Where a path that the user gave leads.
struct Destination {
  fs::path path;                    ///< links followed
  std::optional<struct stat> info;  ///< what is there
  int descriptor = -1;              ///< /dev/stdout and its like: of this process
};

/// N of "/dev/fd/N" and of whatever stands for it.
int own_descriptor(const fs::path& path) {
  std::error_code unknown;
  const std::string name = path.filename().string();
  const bool number = !name.empty() && name.size() < 8 && name.find_first_not_of("0123456789") == name.npos;
  if (!number || fs::canonical(folder_of(path), unknown) != fs::canonical("/proc/self/fd", unknown)) return -1;
  return unknown ? -1 : std::stoi(name);
}

Destination destination_of(const fs::path& path) {
  Destination end{path, {}, -1};
  for (int links = 0; links <= kMostLinks; ++links) {
    end.descriptor = own_descriptor(end.path);
    if (end.descriptor >= 0) return end;
    end.info = look_at(end.path, path);
    if (!end.info || !S_ISLNK(end.info->st_mode)) return end;
    require_trusted_link(end.path, end.info->st_uid, path);
    std::error_code error;
    const fs::path next = fs::read_symlink(end.path, error);
    if (error) refuse(path, "{}", error.message());
    end.path = folder_of(end.path) / next;
  }
  refuse(path, "{}", reason_of(ELOOP));
}

void require_replaceable(const fs::path& path, const std::optional<struct stat>& info, const fs::path& where) {
  if (!info || S_ISREG(info->st_mode) || S_ISLNK(info->st_mode)) return;
  refuse(where, "{} is {}", path == where ? "it" : path.string(), kind_of(info->st_mode));
}

/// Opens what is no file; a pipe's reader may be a little late, but a program that waits for one without end says
/// nothing.
Outcome<FileDescriptor> open_waiting(const fs::path& path, bool pipe) {
  constexpr auto kLongest = std::chrono::seconds(5);
  const auto begun = std::chrono::steady_clock::now();
  auto opened = open_file(path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
  while (pipe && opened.error == ENXIO && std::chrono::steady_clock::now() - begun < kLongest) {
    stop_point();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    opened = open_file(path, O_WRONLY | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
  }
  if (!opened.ok()) return opened;
  const auto flags = system_call([&] { return ::fcntl(opened.value.get(), F_GETFL); });
  const auto set = system_call([&] { return ::fcntl(opened.value.get(), F_SETFL, flags.value & ~O_NONBLOCK); });
  if (!flags.ok() || !set.ok()) return {{}, flags.ok() ? set.error : flags.error};
  return opened;
}

/// False where a pipe's reader takes nothing for a while.
bool takes_more(int fd) {
  constexpr int kMilliseconds = 100;
  struct pollfd stream {
    fd, POLLOUT, 0
  };
  const auto polled = system_call([&] { return ::poll(&stream, 1, kMilliseconds); });
  return !polled.ok() || polled.value > 0;  // the write says what is wrong
}

bool is_temporary(const std::string& name) {
  constexpr std::size_t kDigits = 16;
  if (name.size() != kPrefix.size() + kDigits + kSuffix.size()) return false;
  const std::string digits = name.substr(kPrefix.size(), kDigits);
  return name.starts_with(kPrefix) && name.ends_with(kSuffix) &&
         digits.find_first_not_of("0123456789abcdef") == digits.npos;
}

}  // namespace

fs::path temporary_beside(const fs::path& path) {
  std::uint64_t word = 0;
  const auto drawn = system_call([&] { return ::getrandom(&word, sizeof word, 0); });
  if (!drawn.ok()) refuse(path, "{}", drawn.reason());
  return folder_of(path) / fmt::format("{}{:016x}{}", kPrefix, word, kSuffix);
}

void require_replaceable(const fs::path& path) {
  require_replaceable(path, look_at(path, path), path);
}

void sync_folder(const fs::path& folder) {
  const auto opened = open_file(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
  if (opened.ok()) ::fsync(opened.value.get());  // some file systems refuse to; the rename itself is done
}

void remove_abandoned_output(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (!is_temporary(entry->path().filename().string())) continue;
    const auto opened = open_file(entry->path(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    // Whoever writes a file holds its lock.
    if (!opened.ok() || ::flock(opened.value.get(), LOCK_EX | LOCK_NB) != 0) continue;
    ::unlink(entry->path().c_str());
  }
}

OutputFile::OutputFile(fs::path path, OutputKind kind) : kind_(kind), path_(std::move(path)), target_(path_) {
  if (kind == OutputKind::named) {
    open_directly();
    if (file_.is_open()) return;
  }
  create_temporary();
}

OutputFile::~OutputFile() {
  if (file_.is_open() && !temporary_.empty()) ::unlink(temporary_.c_str());
}

/// Opens what is no file, and follows links to what is one.
void OutputFile::open_directly() {
  Destination to = destination_of(path_);
  target_ = to.path;
  if (to.descriptor >= 0) {
    const auto copy = system_call([&] { return ::fcntl(to.descriptor, F_DUPFD_CLOEXEC, 0); });
    if (!copy.ok()) refuse(path_, "{}", copy.reason());
    file_ = FileDescriptor(copy.value);
  } else if (to.info && is_written_directly(to.info->st_mode)) {
    auto opened = open_waiting(target_, S_ISFIFO(to.info->st_mode));
    if (opened.error == ENXIO) refuse(path_, "it is {} that nobody reads from", kind_of(to.info->st_mode));
    if (!opened.ok()) refuse(path_, "{}", opened.reason());
    struct stat now {};
    const auto looked = system_call([&] { return ::fstat(opened.value.get(), &now); });
    if (!looked.ok() || !is_written_directly(now.st_mode)) refuse(path_, "it changed while it was opened");
    file_ = std::move(opened.value);
  } else {
    remove_abandoned_output(folder_of(target_));
  }
}

void OutputFile::create_temporary() {
  const std::optional<struct stat> old = look_at(target_, path_);
  require_replaceable(target_, old, path_);
  while (!file_.is_open()) {
    temporary_ = temporary_beside(target_);
    auto opened = open_file(temporary_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (opened.error == EEXIST) continue;
    if (!opened.ok()) refuse(path_, "{}", opened.reason());
    ::flock(opened.value.get(), LOCK_EX);  // a file system without locks leaves killed writers' files behind
    struct stat info {};
    const auto looked = system_call([&] { return ::fstat(opened.value.get(), &info); });
    if (!looked.ok()) refuse(path_, "{}", looked.reason());
    if (info.st_nlink > 0) file_ = std::move(opened.value);  // else: taken for abandoned before the lock was held
  }
  if (old && S_ISREG(old->st_mode)) ::fchmod(file_.get(), old->st_mode & 0777);
}

void OutputFile::write(std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kPipeBytes = 4096;      // that a pipe which takes any takes at once
  constexpr std::size_t kFileBytes = 64 << 20;  // that a disk takes in a second
  const bool direct = temporary_.empty();
  for (std::size_t at = 0; at < bytes.size();) {
    if (kind_ == OutputKind::named) stop_point();
    if (direct && !takes_more(file_.get())) continue;
    const auto part = bytes.subspan(at, std::min(bytes.size() - at, direct ? kPipeBytes : kFileBytes));
    const auto written = write_all(file_.get(), part);
    if (!written.ok()) refuse(path_, "{}", written.reason());
    at += part.size();
    if (!direct && at < bytes.size()) sync();  // what is left to do is never more than a part
  }
}

void OutputFile::sync() {
  const auto synced = system_call([&] { return ::fsync(file_.get()); });
  if (!synced.ok()) refuse(path_, "{}", synced.reason());
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const auto written =
        system_call([&] { return ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
    if (!written.ok() || written.value == 0) refuse(path_, "{}", reason_of(written.ok() ? ENOSPC : written.error));
    offset += static_cast<std::uint64_t>(written.value);
    bytes = bytes.subspan(static_cast<std::size_t>(written.value));
  }
}

void OutputFile::commit() {
  if (temporary_.empty()) {
    if (const auto closed = file_.close(); !closed.ok()) refuse(path_, "{}", closed.reason());
    return;
  }
  sync();
  require_replaceable(target_, look_at(target_, path_), path_);
  const auto renamed = system_call([&] { return ::rename(temporary_.c_str(), target_.c_str()); });
  if (!renamed.ok()) refuse(path_, "{}", renamed.reason());
  temporary_.clear();
  if (const auto closed = file_.close(); !closed.ok()) refuse(path_, "{}", closed.reason());
  sync_folder(folder_of(target_));
}

bool is_standard_output(const fs::path& path) {
  return destination_of(path).descriptor == STDOUT_FILENO;
}

void require_writable_output(const fs::path& path) {
  const Destination to = destination_of(path);
  if (to.descriptor >= 0) return;
  const bool direct = to.info && is_written_directly(to.info->st_mode);
  if (!direct) require_replaceable(to.path, to.info, path);
  const fs::path needed = direct ? to.path : folder_of(to.path);
  const auto allowed = system_call([&] { return ::access(needed.c_str(), direct ? W_OK : W_OK | X_OK); });
  if (!allowed.ok()) refuse(path, "{}", allowed.reason());
}

}  // namespace qnudge
