// SPDX-License-Identifier: MIT
#include <vector>

#include "fuzzer.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/search/checkpoint.hpp"

using namespace qnudge;
namespace {

/// The first line of every checkpoint.
std::string magic() {
  const std::filesystem::path path = fuzz::folder() / "empty.bin";
  save_checkpoint({}, path);
  const std::vector<std::uint8_t> file = read_file(path);
  return {file.begin(), std::find(file.begin(), file.end(), '\n')};
}

}  // namespace

/// Few inputs have the right checksum by chance, so what lies under the seal is tried too.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File file("checkpoint.bin");
  static const std::string kind = magic();
  const fuzz::Choice choice(fuzz::Input(data, size));
  const bool sealed = choice.options % 4 != 0;
  const std::filesystem::path& path = file.fill(sealed ? fuzz::Input(seal(kind, choice.rest)) : choice.rest);
  fuzz::accepts([&] { load_checkpoint(path); });
  return 0;
}
