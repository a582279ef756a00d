// SPDX-License-Identifier: MIT
#include "fuzzer.hpp"
#include "qnudge/quant/onnx_export.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File file("tuned.onnx"), again("again.onnx");
  const std::filesystem::path& path = file.fill(fuzz::Input(data, size));
  fuzz::accepts([&] {
    // What is accepted has been understood: written and read again it is the same network.
    const std::string written = to_qdq_onnx(import_qdq_onnx(path));
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(written.data());
    if (to_qdq_onnx(import_qdq_onnx(again.fill(fuzz::Input(bytes, written.size())))) != written) std::abort();
  });
  return 0;
}
