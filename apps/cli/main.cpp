// `bauta`, the one command for people: results on stdout, progress and errors on stderr.

#include <cstdio>
#include <exception>

#include "apps/cli/arguments.h"
#include "base/secret.h"

int main(int argc, char** argv) {
  using namespace bauta;
  const cli::Arguments arguments = cli::parse_arguments(argc, argv);
  if (!arguments.command) return arguments.exit_code;
  try {
    // Most commands hold a key for a moment.
    if (const Status hardened = harden_process(); !hardened.ok()) {
      fmt::print(stderr, "bauta: {}\n", hardened.error().message);
      return cli::kNo;
    }
    const Result<cli::Report> report = arguments.command(arguments.common);
    if (!report.ok()) {
      if (arguments.common.json) fmt::print("{}\n", cli::error_json(report.error()).dump(2));
      fmt::print(stderr, "bauta: {}\n", report.error().message);
      return cli::kNo;
    }
    if (arguments.common.json)
      fmt::print("{}\n", report->json.dump(2));
    else
      fmt::print("{}", report->text);
    return report->exit_code;
  } catch (const std::exception& exception) {
    fmt::print(stderr, "bauta: internal error: {}\n", exception.what());
    return cli::kNo;
  }
}
