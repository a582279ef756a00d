// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// Whole file as bytes. Throws Error(kind input) naming the file when it is missing, a folder or unreadable.
std::vector<std::uint8_t> read_file(const std::filesystem::path& path);

/// A file in a folder of qnudge's, by OutputFile (core/output_file.hpp): after a crash at any instant `path` holds
/// either the old or the new bytes. Throws Error(kind usage) with the system's reason (folder missing, disk full).
void write_file_atomically(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

/// The same for a path that the user gave, which may be a link, a device, a pipe or /dev/stdout.
void write_named_file(const std::filesystem::path& path, std::string_view bytes);

/// Makes `to` another name of the file `from`, or a copy where the file system knows no such thing; as atomic as above,
/// with the same errors. Both names then share one content: neither may be written to in place.
void link_file_atomically(const std::filesystem::path& from, const std::filesystem::path& to);

/// Creates the folder and its parents; throws Error(kind usage) if it cannot be created or written to.
void create_output_folder(const std::filesystem::path& folder);
/// Throws if that would, as far as can be told; creates nothing.
void check_output_folder(const std::filesystem::path& folder);

/// Streaming 128-bit XXH3 over whatever identifies a model, dataset or config; 32 hex digits.
class Fingerprint {
 public:
  Fingerprint();
  ~Fingerprint();
  Fingerprint(const Fingerprint&) = delete;
  Fingerprint& operator=(const Fingerprint&) = delete;

  Fingerprint& add(const void* data, std::size_t bytes);
  Fingerprint& add(std::string_view text);  ///< length-prefixed, so that "a","bc" differs from "ab","c"
  template <class T>
  Fingerprint& add_values(std::span<const T> values) {
    const std::uint64_t count = values.size();
    add(&count, sizeof count);
    return add(values.data(), values.size_bytes());
  }
  std::string hex() const;

 private:
  void* state_;
};

/// 64-bit XXH3.
std::uint64_t checksum(std::span<const std::uint8_t> bytes);

/// A sealed binary file: magic line, 128-bit hash and length of the payload, payload. `unseal` refuses a file that was
/// cut, corrupted or written as another kind or version: Error(kind input) naming `path`.
std::vector<std::uint8_t> seal(std::string_view magic, std::span<const std::uint8_t> payload);
std::vector<std::uint8_t> unseal(std::string_view magic, std::span<const std::uint8_t> file,
                                 const std::filesystem::path& path);

}  // namespace qnudge
