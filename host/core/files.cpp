// SPDX-License-Identifier: MIT
#include "qnudge/core/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// Owner of a POSIX file descriptor: `fstream` can neither sync nor say why it failed.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

bool write_all(int fd, const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

void sync_folder(const fs::path& folder) {
  const Descriptor fd(folder.empty() ? fs::path(".") : folder, O_RDONLY | O_DIRECTORY);
  if (fd.get() >= 0) ::fsync(fd.get());  // some file systems refuse to sync a folder; the rename itself is done
}

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path) {
  Descriptor fd(path, O_RDONLY | O_NONBLOCK);  // or the open itself would wait for a pipe's writer
  require(fd.get() >= 0, ErrorKind::input, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  struct stat info {};
  const bool regular = ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode);
  require(regular, ErrorKind::input, "{}: is {}; a file is needed", path.string(),
          S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = ::read(fd.get(), bytes.data() + have, bytes.size() - have);
    if (got < 0 && errno == EINTR) continue;
    require(got >= 0, ErrorKind::input, "{}: cannot be read: {}", path.string(), std::strerror(errno));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void write_file_atomically(const fs::path& path, std::span<const std::uint8_t> bytes) {
  const fs::path temporary = path.string() + ".tmp";
  const auto give_up = [&](int error) {
    ::unlink(temporary.c_str());
    fail(ErrorKind::usage, "{}: cannot be written: {}", path.string(), std::strerror(error));
  };
  Descriptor fd(temporary, O_WRONLY | O_CREAT | O_TRUNC);
  if (fd.get() < 0) give_up(errno);
  if (!write_all(fd.get(), bytes.data(), bytes.size()) || ::fsync(fd.get()) != 0 || !fd.close()) give_up(errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) give_up(errno);
  sync_folder(path.parent_path());
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

void create_output_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error, ErrorKind::usage, "{}: the output folder cannot be created: {}", folder.string(), error.message());
  require(fs::is_directory(folder, error) && ::access(folder.c_str(), W_OK | X_OK) == 0, ErrorKind::usage,
          "{}: the output folder cannot be written to: {}", folder.string(), std::strerror(errno));
}

Fingerprint::Fingerprint() : state_(XXH3_createState()) {
  require(state_ != nullptr, ErrorKind::internal, "out of memory while fingerprinting");
  XXH3_128bits_reset(static_cast<XXH3_state_t*>(state_));
}

Fingerprint::~Fingerprint() {
  XXH3_freeState(static_cast<XXH3_state_t*>(state_));
}

Fingerprint& Fingerprint::add(const void* data, std::size_t bytes) {
  if (bytes > 0) XXH3_128bits_update(static_cast<XXH3_state_t*>(state_), data, bytes);
  return *this;
}

Fingerprint& Fingerprint::add(std::string_view text) {
  const std::uint64_t size = text.size();
  add(&size, sizeof size);
  return add(text.data(), text.size());
}

std::string Fingerprint::hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(static_cast<const XXH3_state_t*>(state_));
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::uint64_t checksum(std::span<const std::uint8_t> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::vector<std::uint8_t> seal(std::string_view magic, std::span<const std::uint8_t> payload) {
  const std::string header =
      fmt::format("{}\n{}\n{}\n", magic, Fingerprint().add(payload.data(), payload.size()).hex(), payload.size());
  std::vector<std::uint8_t> file(header.begin(), header.end());
  file.insert(file.end(), payload.begin(), payload.end());
  return file;
}

std::vector<std::uint8_t> unseal(std::string_view magic, std::span<const std::uint8_t> file, const fs::path& path) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  require(text.starts_with(fmt::format("{}\n", magic)), ErrorKind::input,
          "{}: is not a file of kind '{}' written by this version of qnudge", path.string(), magic);
  const std::size_t hash_at = magic.size() + 1;
  const std::size_t length_at = text.find('\n', hash_at);
  const std::size_t body_at = length_at == text.npos ? text.npos : text.find('\n', length_at + 1);
  require(body_at != text.npos, ErrorKind::input, "{}: is cut short in its header", path.string());
  const std::span payload = file.subspan(body_at + 1);
  const bool whole =
      text.substr(length_at + 1, body_at - length_at - 1) == std::to_string(payload.size()) &&
      text.substr(hash_at, length_at - hash_at) == Fingerprint().add(payload.data(), payload.size()).hex();
  require(whole, ErrorKind::input, "{}: is cut short or corrupted (its checksum does not match)", path.string());
  return {payload.begin(), payload.end()};
}

}  // namespace qnudge
