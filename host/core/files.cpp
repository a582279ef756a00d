// SPDX-License-Identifier: MIT
#include "qnudge/core/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <system_error>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/output_file.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// Opens a regular file to read; throws Error(kind input) for anything else.
FileDescriptor open_regular(const fs::path& path, struct stat& info) {
  auto opened = open_file(path, O_RDONLY | O_NONBLOCK);  // or the open itself would wait for a pipe's writer
  require(opened.ok(), ErrorKind::input, "{}: cannot be read: {}", path.string(), opened.reason());
  const auto looked = system_call([&] { return ::fstat(opened.value.get(), &info); });
  require(looked.ok(), ErrorKind::input, "{}: cannot be read: {}", path.string(), looked.reason());
  require(S_ISREG(info.st_mode), ErrorKind::input, "{}: is {}; a file is needed", path.string(),
          S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
  return std::move(opened.value);
}

std::span<const std::uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

void write_whole(const fs::path& path, OutputKind kind, std::span<const std::uint8_t> bytes) {
  OutputFile file(path, kind);
  file.write(bytes);
  file.commit();
}

void require_writable_folder(const fs::path& folder, const fs::path& existing) {
  std::error_code unknown;
  require(fs::is_directory(existing, unknown), ErrorKind::usage, "{}: cannot be an output folder: {} is no folder",
          folder.string(), existing.string());
  const auto allowed = system_call([&] { return ::access(existing.c_str(), W_OK | X_OK); });
  require(allowed.ok(), ErrorKind::usage, "{}: the output folder cannot be {}: {}", folder.string(),
          folder == existing ? "written to" : "created", allowed.reason());
}

}  // namespace

std::vector<std::uint8_t> read_file(const fs::path& path) {
  struct stat info {};
  const FileDescriptor file = open_regular(path, info);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const auto got = system_call([&] { return ::read(file.get(), bytes.data() + have, bytes.size() - have); });
    require(got.ok(), ErrorKind::input, "{}: cannot be read: {}", path.string(), got.reason());
    if (got.value == 0) break;
    have += static_cast<std::size_t>(got.value);
  }
  bytes.resize(have);
  return bytes;
}

void write_file_atomically(const fs::path& path, std::span<const std::uint8_t> bytes) {
  write_whole(path, OutputKind::own, bytes);
}

void write_file_atomically(const fs::path& path, std::string_view text) {
  write_file_atomically(path, bytes_of(text));
}

void write_named_file(const fs::path& path, std::string_view bytes) {
  write_whole(path, OutputKind::named, bytes_of(bytes));
}

void link_file_atomically(const fs::path& from, const fs::path& to) {
  struct stat info {};
  const FileDescriptor file = open_regular(from, info);
  ::flock(file.get(), LOCK_SH);  // a name under way is not an abandoned one
  require_replaceable(to);
  const fs::path temporary = temporary_beside(to);
  const auto linked = system_call([&] { return ::link(from.c_str(), temporary.c_str()); });
  if (!linked.ok()) return write_file_atomically(to, read_file(from));
  const auto renamed = system_call([&] { return ::rename(temporary.c_str(), to.c_str()); });
  ::unlink(temporary.c_str());  // still there where both were the same file already
  require(renamed.ok(), ErrorKind::usage, "{}: cannot be written: {}", to.string(), renamed.reason());
  sync_folder(to.parent_path());
}

void create_output_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  require(!error, ErrorKind::usage, "{}: the output folder cannot be created: {}", folder.string(), error.message());
  require_writable_folder(folder, folder);
}

void check_output_folder(const fs::path& folder) {
  fs::path existing = folder;
  std::error_code unknown;
  while (!fs::exists(fs::symlink_status(existing, unknown))) {
    const fs::path parent = existing.parent_path();
    if (parent.empty() || parent == existing) {
      existing = parent.empty() ? fs::path(".") : parent;
      break;
    }
    existing = parent;
  }
  require_writable_folder(folder, existing);
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
