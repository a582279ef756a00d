// SPDX-License-Identifier: MIT
#include "fuzzer.hpp"
#include "qnudge/data/readers.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File file("records");
  static const Normalisation normalisation{{0.5f, 0.5f, 0.5f}, {0.25f, 0.25f, 0.25f}};
  const fuzz::Choice choice(fuzz::Input(data, size));
  const int label_bytes = 1 + choice.options % 2;
  const std::filesystem::path& path = file.fill(choice.rest);
  fuzz::accepts([&] {
    const auto set = open_cifar({path}, label_bytes, label_bytes == 1 ? 10 : 100, normalisation);
    std::vector<float> image(static_cast<std::size_t>(set->shape().size()));
    set->read(set->size() - 1, image);
  });
  return 0;
}
