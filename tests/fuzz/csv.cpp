// SPDX-License-Identifier: MIT
#include <cmath>

#include "fuzzer.hpp"
#include "qnudge/data/series.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::File file("series.csv");
  const fuzz::Choice choice(fuzz::Input(data, size));
  SeriesConfig config;
  config.label_column = "label";
  if ((choice.options & 1) != 0) config.time_column = "time";
  if ((choice.options & 2) != 0) config.skip_columns = {"skip"};
  const std::filesystem::path& path = file.fill(choice.rest);
  fuzz::accepts([&] {
    const Series series = read_csv_series(path, config, (choice.options & 4) != 0);
    const bool whole = series.rows() > 0 && series.values.size() == series.anomalous.size() * series.names.size();
    if (!whole || !std::isfinite(series.values.back())) std::abort();
  });
  return 0;
}
