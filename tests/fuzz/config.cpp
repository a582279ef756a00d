// SPDX-License-Identifier: MIT
#include "qnudge/config/config.hpp"
#include "fuzzer.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::accepts(
      [&] {
        const Config config = parse_config(text, "config");
        // What a run writes into its folder is the same run.
        const std::string resolved = resolved_json(config);
        if (resolved_json(parse_config(resolved, "resolved")) != resolved) std::abort();
      },
      ErrorKind::usage);
  return 0;
}
