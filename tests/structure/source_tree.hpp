// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace qnudge::structure {

/// One text file of the repository.
struct SourceFile {
  std::string path;                ///< relative to the root, with '/'
  std::string text;                ///< whole
  std::vector<std::string> lines;  ///< without their newlines
};

/// Every text file below the project's folders and beside CMakeLists.txt, sorted by path. Build and run folders, hidden
/// folders other than .ci, models and images are left out. Throws std::runtime_error for an unreadable file.
std::vector<SourceFile> read_sources(const std::filesystem::path& root);

/// True for what a compiler, CMake, a shell or Python reads; false for documents and data.
bool is_code(const SourceFile& file);

/// An #include line.
struct Include {
  int line = 0;  ///< 1-based
  std::string target;
  bool angled = false;  ///< <target>, not "target"
};
std::vector<Include> includes_of(const SourceFile& file);

/// Includes that break the order of the layers
///   core -> config -> data -> model -> quant -> kernels -> backend -> {cpu, cuda} -> search -> report -> cli
/// where a file sees its own layer and those to its left, search and report do not see cpu and cuda, these two do not
/// see each other, a facet in host/primitives belongs to the layer that it is named after (qdq to quant, device to
/// cuda) and sees that layer's private headers, only files in cuda/ include CUDA's headers and only core/random123.hpp
/// includes Random123's. One sentence each: file, line, what it includes and what it may include.
std::vector<std::string> layering_violations(const std::vector<SourceFile>& files);

}  // namespace qnudge::structure
