// SPDX-License-Identifier: MIT
#include "qnudge/cli/cli.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <new>
#include <optional>
#include <string_view>
#include <system_error>

#include "qnudge/cli/command.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

/// One command of the table.
struct CommandEntry {
  const char* name;
  const char* summary;
  const char* examples;
  Action (*add)(CLI::App&);
};

constexpr std::array<CommandEntry, 9> kCommands = {{
    {"tune", "Fine-tune the weight codes of a quantised network; writes a run folder with tuned.onnx and report.json",
     "  qnudge tune configs/quickstart.json\n"
     "  qnudge tune configs/quickstart.json --set quant.grid.bits=3 seed=7 --out runs/three_bits\n"
     "  qnudge tune configs/quickstart.json --resume        go on after an interruption\n"
     "  qnudge tune configs/quickstart.json --json --quiet  report.json on stdout, nothing else",
     add_tune},
    {"sweep", "Tune every combination of bits, seeds or any other keys; writes one table and one page of plots",
     "  qnudge sweep configs/sweeps/quickstart.json --dry-run   the plan, and how long it will take\n"
     "  qnudge sweep configs/sweeps/quickstart.json --jobs 2    the same command goes on after an interruption\n"
     "  qnudge sweep configs/sweeps/quickstart.json --set search.strategy=none --out runs/closed_forms\n\n"
     "A sweep file names a base config, axes and what to leave out:\n"
     "  {\"base\": \"configs/quickstart.json\", \"axes\": {\"quant.grid.bits\": [3, 4], \"seed\": [1, 2, 3]},\n"
     "   \"exclude\": [{\"quant.grid.bits\": 3, \"seed\": [2, 3]}]}\n\n"
     "A run that fails does not stop the others; the exit code is then that of the first one in the plan.",
     add_sweep},
    {"report", "Write report.html of a run, or tables and report.html of a sweep, anew from their folder",
     "  qnudge report runs/quickstart\n"
     "  qnudge report runs/sweep_quickstart --json",
     add_report},
    {"eval", "Accuracy on the test set: the float model, nearest rounding, or a tuned model",
     "  qnudge eval configs/quickstart.json\n"
     "  qnudge eval --model runs/quickstart/tuned.onnx\n"
     "  qnudge eval configs/quickstart.json --nearest --predictions nearest.npy --save-inputs images.npy --limit 1000",
     add_eval},
    {"sensitivity", "Accuracy with one layer at a time quantised: the order of the search",
     "  qnudge sensitivity configs/quickstart.json\n"
     "  qnudge sensitivity configs/quickstart.json --set search.sensitivity_bits=3 --json",
     add_sensitivity},
    {"inspect", "Layers of an ONNX model: shapes, parameters, MACs, BOPs, packed size, and what is unsupported",
     "  qnudge inspect models/fashion_mnist_resnet8.onnx\n"
     "  qnudge inspect models/fashion_mnist_resnet8.onnx --bits 3 --json\n"
     "  qnudge inspect runs/quickstart/tuned.onnx",
     add_inspect},
    {"check", "Compare two backends on every tensor of a network, byte for byte",
     "  qnudge check configs/quickstart.json\n"
     "  qnudge check --model runs/quickstart/tuned.onnx --backends reference,host --images 32",
     add_check},
    {"devices", "What this machine can compute on, and whether its arithmetic is exact",
     "  qnudge devices\n"
     "  qnudge devices --try --json",
     add_devices},
    {"bench", "Measure throughput on this machine, or what each method is worth",
     "  qnudge bench tuning configs/quickstart.json\n"
     "  qnudge bench tuning configs/quickstart.json --set data.fitness=1024 --repeats 5 --scaling --json\n"
     "  qnudge bench quality configs/quickstart.json --bits 4,3,2 --seeds 1 --rungs nearest,bias,descent,best",
     add_bench},
}};

constexpr const char* kDescription =
    "qnudge fine-tunes quantised convolutional networks by evolution: no gradients, integer arithmetic, ONNX in and "
    "out.";

std::string command_list() {
  std::string list;
  for (const CommandEntry& command : kCommands) list += fmt::format("{}{}", list.empty() ? "" : ", ", command.name);
  return list;
}

/// What the parser leaves behind.
struct Parsed {
  OutputOptions output;
  Action action;
  const char* command = "";
};

void add_commands(CLI::App& app, Parsed& parsed) {
  for (const CommandEntry& entry : kCommands) {
    CLI::App& command = *app.add_subcommand(entry.name, entry.summary);
    command.footer(fmt::format("Examples:\n{}", entry.examples));
    const Action action = entry.add(command);
    command.add_flag("--json", parsed.output.json, "The result as JSON on stdout");
    const auto quiet = command.add_flag("-q,--quiet", parsed.output.quiet, "Nothing but the result and errors");
    command.add_flag("-v,--verbose", parsed.output.verbose, "More details on stderr")->excludes(quiet);
    command.final_callback([&parsed, action, name = entry.name] {
      parsed.action = action;
      parsed.command = name;
    });
  }
}

/// Parses; returns an exit code if all is said already (help, version). Throws Error(kind usage).
std::optional<int> parse(CLI::App& app, int argc, const char* const* argv, Terminal& terminal) {
  const std::vector<const char*> arguments = with_every_set_named(argc, argv);
  try {
    app.parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::Success& success) {
    app.exit(success, terminal.out(), terminal.out());
    return 0;
  } catch (const CLI::ParseError& error) {
    std::string place = "qnudge";
    const CLI::App* deepest = &app;
    while (!deepest->get_subcommands().empty()) {
      deepest = deepest->get_subcommands().front();
      place += ' ' + deepest->get_name();
    }
    fail(ErrorKind::usage, "{}; see '{} --help'", error.what(), place);
  }
  return std::nullopt;
}

int dispatch(int argc, const char* const* argv, Terminal& terminal) {
  Parsed parsed;
  CLI::App app(kDescription, "qnudge");
  app.set_version_flag("--version", fmt::format("qnudge {}", kVersion));
  app.footer(
      "Examples:\n"
      "  qnudge tune configs/quickstart.json\n"
      "  qnudge eval --model runs/quickstart/tuned.onnx\n"
      "  qnudge tune --help\n\n"
      "Exit codes: 0 done, 1 a check differs or internal error, 2 usage, 3 model or data, 4 device,\n"
      "5 interrupted; the message says how to go on.");
  add_commands(app, parsed);
  app.require_subcommand(0, 1);
  const auto is_first = [&](const CommandEntry& entry) { return argv[1] == std::string_view(entry.name); };
  if (argc > 1 && argv[1][0] != '-' && std::none_of(kCommands.begin(), kCommands.end(), is_first)) {
    fail(ErrorKind::usage, "'{}': unknown command; known are {}; see 'qnudge --help'", argv[1], command_list());
  }
  if (const auto code = parse(app, argc, argv, terminal)) return *code;
  require(static_cast<bool>(parsed.action), ErrorKind::usage, "a command is missing; known are {}; see 'qnudge --help'",
          command_list());
  const LogScope log(terminal, parsed.output.quiet     ? Verbosity::quiet
                               : parsed.output.verbose ? Verbosity::verbose
                                                       : Verbosity::normal);
  return parsed.action(terminal, parsed.output);
}

int failure(Terminal& terminal, std::string_view sentence, ErrorKind kind) {
  terminal.line(fmt::format("qnudge: {}", sentence));
  return static_cast<int>(kind);
}

}  // namespace

int run_cli(int argc, const char* const* argv, std::ostream& out, std::ostream& err) noexcept {
  Terminal terminal(out, err);
  try {
    return dispatch(argc, argv, terminal);
  } catch (const Error& error) {
    return failure(terminal, error.what(), error.kind());
  } catch (const std::bad_alloc&) {
    return failure(
        terminal,
        "out of memory: the run needs more than this machine grants; fewer images (data.fitness) or a smaller "
        "search.chunk need less",
        ErrorKind::device);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) {
      return failure(terminal, fmt::format("internal error: {}", error.what()), ErrorKind::internal);
    }
    return failure(terminal, "the system grants no more threads; raise its limits (ulimit -u, ulimit -v)",
                   ErrorKind::device);
  } catch (const std::exception& error) {
    return failure(terminal, fmt::format("internal error: {}", error.what()), ErrorKind::internal);
  }
}

}  // namespace qnudge
