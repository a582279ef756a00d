// SPDX-License-Identifier: MIT
#include <cmath>

#include "fuzzer.hpp"
#include "qnudge/data/series.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File values("series.npy"), labels("series_label.npy");
  const fuzz::Pair files(fuzz::Input(data, size));
  const std::filesystem::path& path = values.fill(files.first);
  labels.fill(files.second);
  fuzz::accepts([&] {
    const Series series = read_npy_series(path, !files.second.empty());
    const bool whole = series.rows() > 0 && series.values.size() == series.anomalous.size() * series.names.size();
    if (!whole || !std::isfinite(series.values.back())) std::abort();
  });
  return 0;
}
