// SPDX-License-Identifier: MIT
#include "fuzzer.hpp"
#include "qnudge/data/readers.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File images("images"), labels("labels");
  static const Normalisation normalisation{{0.5f}, {0.25f}};
  const fuzz::Pair files(fuzz::Input(data, size));
  images.fill(files.first), labels.fill(files.second);
  fuzz::accepts([&] {
    const auto set = open_idx(fuzz::folder() / "images", fuzz::folder() / "labels", 10, normalisation);
    std::vector<float> image(static_cast<std::size_t>(set->shape().size()));
    set->read(set->size() - 1, image);
  });
  return 0;
}
