// SPDX-License-Identifier: MIT
#include "onnx_file.hpp"

#include <fcntl.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>
#include <google/protobuf/wire_format_lite.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/system_call.hpp"
#include "refusal.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace io = google::protobuf::io;
namespace {

using Wire = google::protobuf::internal::WireFormatLite;

constexpr std::uint32_t length_delimited(int field) {
  return static_cast<std::uint32_t>(field) << 3 | Wire::WIRETYPE_LENGTH_DELIMITED;
}
constexpr std::uint32_t kGraph = length_delimited(onnx::ModelProto::kGraphFieldNumber);
constexpr std::uint32_t kInitializer = length_delimited(onnx::GraphProto::kInitializerFieldNumber);
constexpr std::uint32_t kRawData = length_delimited(onnx::TensorProto::kRawDataFieldNumber);

/// Copies a serialised model without the raw bytes of its initializers, whose places it notes. Messages are only
/// walked, so that what they hold is judged by the parser that reads the copy.
class Skeleton {
 public:
  Skeleton(std::shared_ptr<const InputFile> file, std::vector<FileRange>& raw)
      : file_(std::move(file)), raw_(raw), stream_(file_->descriptor()), in_(&stream_) {}

  /// Nothing if the bytes are no sequence of fields.
  std::optional<std::string> copy() {
    std::string all;
    if (!copy_fields(all, kGraph, &Skeleton::copy_graph) || in_.CurrentPosition() != file_->size()) return std::nullopt;
    return all;
  }

 private:
  using Nested = bool (Skeleton::*)(std::string&);

  /// Copies fields up to the limit at hand; those with the tag `special` go through `nested`.
  bool copy_fields(std::string& to, std::uint32_t special, Nested nested) {
    io::StringOutputStream stream(&to);
    io::CodedOutputStream out(&stream);
    while (const std::uint32_t tag = in_.ReadTag()) {
      if (tag != special) {
        if (!Wire::SkipField(&in_, tag, &out)) return false;
        continue;
      }
      int bytes = 0;
      if (!in_.ReadVarintSizeAsInt(&bytes) || bytes < 0 || in_.CurrentPosition() + bytes > file_->size()) return false;
      const auto limit = in_.PushLimit(bytes);
      std::string message;
      if (!(this->*nested)(message) || in_.BytesUntilLimit() != 0) return false;
      in_.PopLimit(limit);
      if (message.empty() && nested == &Skeleton::note_raw_data) continue;
      out.WriteVarint32(tag);
      out.WriteVarint32(static_cast<std::uint32_t>(message.size()));
      out.WriteString(message);
    }
    return in_.ConsumedEntireMessage();
  }
  bool copy_graph(std::string& to) { return copy_fields(to, kInitializer, &Skeleton::copy_tensor); }
  bool copy_tensor(std::string& to) {
    raw_.emplace_back();
    return copy_fields(to, kRawData, &Skeleton::note_raw_data);
  }
  /// An absent field and an empty one mean the same in a tensor without elements.
  bool note_raw_data(std::string&) {
    const int bytes = in_.BytesUntilLimit();
    raw_.back() = {file_, in_.CurrentPosition(), bytes};
    return in_.Skip(bytes);
  }

  std::shared_ptr<const InputFile> file_;
  std::vector<FileRange>& raw_;
  io::FileInputStream stream_;
  io::CodedInputStream in_;
};

/// A number of `external_data`; the format spells it as text.
std::int64_t read_number(const onnx::TensorProto& tensor, std::string_view key, std::string_view text) {
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) {
    malformed("tensor '{}' states the external {} '{}'; a number of bytes is needed", printable(tensor.name()), key,
              printable(text));
  }
  return value;
}

bool inside(const fs::path& folder, const fs::path& path) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

}  // namespace

InputFile::InputFile(const fs::path& path, bool follow) : name_(path.string()) {
  const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
  // non-blocking, or the open itself would wait for a pipe's writer
  const auto opened = system_call_once([&] { return ::open(path.c_str(), flags); });
  require(opened.ok(), ErrorKind::input, "{}: cannot be read: {}", name_, opened.reason());
  descriptor_ = opened.value;
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    fail(ErrorKind::input, "{}: is {}; a file is needed", name_,
         S_ISDIR(info.st_mode) ? "a folder" : "no regular file");
  }
  size_ = info.st_size;
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

void InputFile::read(std::int64_t offset, void* to, std::size_t bytes) const {
  auto* place = static_cast<char*>(to);
  while (bytes > 0) {
    const auto got = system_call([&] { return ::pread(descriptor_, place, bytes, offset); });
    require(got.ok(), ErrorKind::input, "{}: cannot be read: {}", name_, got.reason());
    require(got.value > 0, ErrorKind::input, "{}: became shorter while it was read", name_);
    place += got.value;
    offset += got.value;
    bytes -= static_cast<std::size_t>(got.value);
  }
}

ParsedOnnx parse_onnx(const fs::path& path) {
  const auto file = std::make_shared<const InputFile>(path);
  require(file->size() <= std::numeric_limits<int>::max(), ErrorKind::input,
          "{}: has {} bytes; an ONNX model holds less than 2 GiB (larger ones keep their weights in files beside it)",
          path.string(), file->size());
  ParsedOnnx parsed;
  parsed.bytes = file->size();
  const google::protobuf::LogSilencer silence;  // the user gets our sentence instead of the parser's log
  const auto skeleton = Skeleton(file, parsed.raw).copy();
  require(skeleton && parsed.proto.ParseFromString(*skeleton), ErrorKind::input,
          "{}: is no ONNX model, or was truncated or corrupted", path.string());
  require(parsed.proto.has_graph(), ErrorKind::input, "{}: holds no ONNX graph; it is empty or another kind of file",
          path.string());
  return parsed;
}

FileRange ExternalData::find(const onnx::TensorProto& tensor) {
  const std::string name = printable(tensor.name());
  std::string location;
  std::int64_t offset = 0;
  std::optional<std::int64_t> length;
  for (const onnx::StringStringEntryProto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = read_number(tensor, "offset", entry.value());
    if (entry.key() == "length") length = read_number(tensor, "length", entry.value());
  }
  const fs::path relative(location);
  bool climbs = location.empty() || location.find('\0') != std::string::npos || relative.is_absolute();
  for (const fs::path& part : relative) climbs = climbs || part == "..";
  if (climbs) {
    malformed("tensor '{}' is stored in '{}', which is no path below the model's folder", name, printable(location));
  }
  auto& file = files_[location];
  if (!file) {
    std::error_code error;
    const fs::path folder = fs::canonical(folder_.empty() ? fs::path(".") : folder_, error);
    const fs::path path = fs::weakly_canonical(folder / relative, error);
    if (error || !inside(folder, path)) {
      malformed("tensor '{}' is stored in '{}', which links out of the model's folder", name, printable(location));
    }
    if (!fs::exists(path, error)) {
      malformed("tensor '{}' is stored in '{}', which does not stand beside the model; copy both together", name,
                printable(location));
    }
    file = std::make_shared<const InputFile>(path, false);
    bytes_ += file->size();
  }
  if (offset > file->size() || length.value_or(0) > file->size() - offset) {
    malformed("tensor '{}' is said to be {} bytes from byte {} of '{}', which has {} bytes", name, length.value_or(0),
              offset, printable(location), file->size());
  }
  return {file, offset, length.value_or(file->size() - offset)};
}

}  // namespace qnudge
