// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace qnudge {

/// A file open for reading at any place; nothing of it is held in memory.
class InputFile {
 public:
  /// Throws Error(kind input) naming the file when it is missing, a folder or unreadable. `follow` = false also refuses
  /// a symbolic link.
  explicit InputFile(const std::filesystem::path& path, bool follow = true);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::int64_t size() const { return size_; }
  int descriptor() const { return descriptor_; }
  /// Exactly `bytes` bytes from `offset`; throws Error(kind input) where the file has become shorter.
  void read(std::int64_t offset, void* to, std::size_t bytes) const;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

/// Where the raw bytes of a tensor stand in a file.
struct FileRange {
  std::shared_ptr<const InputFile> file;
  std::int64_t offset = 0, bytes = 0;
};

/// A model whose initializers have left their raw bytes in the file.
struct ParsedOnnx {
  onnx::ModelProto proto;
  std::vector<FileRange> raw;  ///< per initializer; no file: its values are in `proto`
  std::int64_t bytes = 0;      ///< of the file
};

/// Throws Error(kind input): unreadable, larger than 2 GiB, truncated or no ONNX graph.
ParsedOnnx parse_onnx(const std::filesystem::path& path);

/// Opens the files that hold values of initializers outside the model, each once.
class ExternalData {
 public:
  explicit ExternalData(std::filesystem::path model) : folder_(model.parent_path()) {}

  /// The range that `tensor` names. The file must stand in the model's folder or below it, reached without "..",
  /// absolute paths or symbolic links. Throws Refusal (malformed) naming the tensor otherwise, or where the range
  /// leaves the file.
  FileRange find(const onnx::TensorProto& tensor);
  /// Bytes of all files opened so far.
  std::int64_t bytes() const { return bytes_; }

 private:
  std::filesystem::path folder_;
  std::unordered_map<std::string, std::shared_ptr<const InputFile>> files_;
  std::int64_t bytes_ = 0;
};

}  // namespace qnudge
