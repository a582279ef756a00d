// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>

#include "qnudge/cli/command.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/html_page.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/search/run_folder.hpp"

namespace qnudge {
namespace {
namespace fs = std::filesystem;

int run_report(const std::string& name, Terminal& terminal, const OutputOptions& output) {
  const fs::path folder = name;
  const bool sweep = fs::exists(folder / "sweep.json");
  require(sweep || is_finished_run(folder), ErrorKind::usage,
          "{}: holds neither report.json of a finished run nor sweep.json of a sweep", name);
  const RunFolder lock(folder);
  std::string said;
  if (sweep) {
    const SweepResults results = read_sweep_results(folder);
    write_sweep_results(results);
    said = output.json ? sweep_summary_json(results) : sweep_text(results);
  } else {
    const RunFiles run = read_run_files(folder);
    write_file_atomically(folder / "report.html", run_page(run, plotting_library()));
    if (output.json) said = run.report.dump(2) + "\n";
  }
  terminal.out() << said;
  if (!output.json) {
    terminal.out() << fmt::format("written to {}: {}report.html\n", name, sweep ? "results.csv, results.jsonl, " : "");
  }
  return 0;
}

}  // namespace

Action add_report(CLI::App& app) {
  const auto folder = std::make_shared<std::string>();
  app.add_option("FOLDER", *folder, "Folder of a run or of a sweep")->type_name("")->required();
  return [folder](Terminal& terminal, const OutputOptions& output) { return run_report(*folder, terminal, output); };
}

}  // namespace qnudge
