// SPDX-License-Identifier: MIT
#include "fuzzer.hpp"
#include "qnudge/model/onnx_import.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File file("model.onnx");
  const fuzz::Choice choice(fuzz::Input(data, size));
  const std::filesystem::path& path = file.fill(choice.rest);
  if ((choice.options & 1) != 0) {
    fuzz::accepts([&] { examine_onnx(path); });
  } else {
    const std::int64_t extent = (choice.options & 2) != 0 ? 12 : 0;
    fuzz::accepts([&] { import_onnx(path, {.height = extent, .width = extent, .results = Results::ranked}); });
  }
  return 0;
}
