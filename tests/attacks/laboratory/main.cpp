// bauta-attack: what the attacks of docs/design/budgets.md get, and what honest people feel of what
// stops them. Built with the tests; no part of what is installed.

#include <fstream>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "match/test_tenant.h"
#include "tests/attacks/insecure_answers.h"
#include "tests/attacks/laboratory/chart.h"
#include "tests/attacks/laboratory/climb.h"
#include "tests/attacks/laboratory/honest.h"
#include "tests/attacks/laboratory/noise.h"
#include "tests/attacks/laboratory/padding.h"
#include "tests/attacks/laboratory/scores.h"
#include "tests/attacks/oracle_attacks.h"

namespace bauta::laboratory {
namespace {

using nlohmann::json;

struct Options {
  bool as_json = false;
  // climb
  Campaign campaign;
  std::string way = "verify", svg;
  int runs = 100;
  // honest
  DailyUse use;
  std::string scores;
  // noise
  NoiseAttack noise;
  bool with_ciphertexts = false;
  // padding
  uint64_t tries = 1 << 24;
};

void show(const Options& options, const json& result, const std::string& text) {
  fmt::print("{}\n", options.as_json ? result.dump(2) : text);
}

Way to_way(const std::string& name) {
  return name == "verify" ? Way::verify : Way::identify;
}

std::string name_of(const Campaign& campaign) {
  switch (campaign.strategy) {
    case Strategy::walk:
      return "walk";
    case Strategy::posterior:
      return fmt::format("posterior, aim {:+.1f}", campaign.aim);
    case Strategy::lottery:
      return fmt::format("lottery, aim {:+.1f}", campaign.aim);
  }
  return {};
}

std::vector<Campaign> strategies(const Campaign& base) {
  std::vector<Campaign> all;
  const auto add = [&](Strategy strategy, double aim) {
    all.push_back(base);
    all.back().strategy = strategy;
    all.back().aim = aim;
  };
  add(Strategy::walk, 0);
  for (double aim = -2.5; aim <= 2; aim += 0.5) add(Strategy::posterior, aim);
  for (double aim = -1.5; aim <= 1; aim += 0.5) add(Strategy::lottery, aim);
  return all;
}

// Without any counting: how similarity grows.
std::vector<Curve> free_curves(const Options& options) {
  std::vector<Curve> curves;
  for (Campaign campaign : strategies(options.campaign)) {
    campaign.counting = Counting::none;
    const bool wanted =
        campaign.strategy == Strategy::walk ||
        (campaign.strategy == Strategy::posterior && campaign.aim == std::round(campaign.aim));
    if (!wanted) continue;
    std::vector<Climb> climbs;
    run(campaign, std::min(options.runs, 20), &climbs);
    Curve curve{name_of(campaign), std::vector<double>(static_cast<size_t>(campaign.answers))};
    for (const Climb& climb : climbs)
      for (size_t i = 0; i < climb.similarity.size(); ++i)
        curve.mean[i] += climb.similarity[i] / static_cast<double>(climbs.size());
    curves.push_back(std::move(curve));
  }
  return curves;
}

int climb_command(Options& options) {
  options.campaign.way = to_way(options.way);
  json result;
  std::string text =
      fmt::format("{} dimensions, {} at {}, {} runs from 0.5 to 0.6\n", options.campaign.dimension,
                  options.way, options.campaign.threshold, options.runs);
  const std::vector<Curve> curves = free_curves(options);
  text += "\nmean similarity, uncounted, after answers:\n";
  const std::array<size_t, 7> marks = {25, 50, 93, 200, 500, 1000, 1500};
  for (const Curve& curve : curves) {
    text += fmt::format("  {:22}", curve.name);
    for (const size_t mark : marks) {
      if (mark > curve.mean.size()) continue;
      text += fmt::format("  {:>4} {:.3f}", mark, curve.mean[mark - 1]);
      result["uncounted"][curve.name][std::to_string(mark)] = curve.mean[mark - 1];
    }
    text += '\n';
  }
  text += "\ncounted: best similarity until the lock\n";
  double worst = 0;
  for (const Campaign& campaign : strategies(options.campaign)) {
    const Outcome outcome = run(campaign, options.runs);
    worst = std::max(worst, outcome.worst);
    text += fmt::format(
        "  {:22}  mean {:.3f}  worst {:.3f}  answers {:6.1f}  near {:5.1f}  locked {:3.0f} %\n",
        name_of(campaign), outcome.mean, outcome.worst, outcome.answers, outcome.near,
        100 * outcome.stopped);
    result["counted"][name_of(campaign)] = {{"mean", outcome.mean},
                                            {"worst", outcome.worst},
                                            {"answers", outcome.answers},
                                            {"near", outcome.near},
                                            {"locked", outcome.stopped}};
  }
  result["worst"] = worst;
  text += fmt::format("worst of all: {:.3f}", worst);
  if (!options.svg.empty())
    std::ofstream(options.svg) << draw(
        fmt::format("Similarity to a template of {} dimensions, {} at {}, nothing counted",
                    options.campaign.dimension, options.way, options.campaign.threshold),
        curves, 0.75);
  show(options, result, text);
  return 0;
}

int honest_command(Options& options) {
  options.use.way = to_way(options.way);
  ScoreTable scores = lfw_scores();
  if (!options.scores.empty()) {
    const Result<ScoreTable> read = read_scores(options.scores);
    if (!read.ok()) {
      fmt::print(stderr, "{}\n", read.error().message);
      return 1;
    }
    scores = *read;
  }
  const Mistakes mistakes = simulate(options.use, scores, 1);
  const json result = {{"locked", mistakes.locked},
                       {"warned", mistakes.warned},
                       {"enrolled_anew", mistakes.enrolled_anew},
                       {"often", mistakes.often},
                       {"rejected", mistakes.rejected},
                       {"near", mistakes.near},
                       {"shown", mistakes.shown}};
  show(options, result,
       fmt::format(
           "{} people, {} days, {} at {}\n"
           "locked by mistake     {:.3f} % of people\n"
           "warned                {:.1f} % of people, once or more\n"
           "enrolled anew         {:.2f} times a person; {:.1f} % of people 4 times or more\n"
           "rejected              {:.2f} % of uses, after up to {} attempts\n"
           "near                  {:.1f} % of decisions\n"
           "the face was shown    {:.1f} % of decisions",
           options.use.people, options.use.days, options.way, options.use.threshold,
           100 * mistakes.locked, 100 * mistakes.warned, mistakes.enrolled_anew,
           100 * mistakes.often, 100 * mistakes.rejected, options.use.attempts, 100 * mistakes.near,
           100 * mistakes.shown));
  return 0;
}

int noise_command(const Options& options) {
  const Verdict verdict = options.with_ciphertexts ? read_with_ciphertexts(options.noise)
                                                   : read_in_numbers(options.noise, 1);
  const json result = {{"decisions", options.noise.decisions},
                       {"flood", options.noise.flood},
                       {"wrong", verdict.wrong},
                       {"guessing", verdict.expected_wrong},
                       {"deviations", verdict.deviations()},
                       {"correlation", verdict.correlation}};
  show(options, result,
       fmt::format("{} decisions, flood {}: {} of 4096 coefficients wrong (guessing {:.0f} +- "
                   "{:.0f}: {:.1f} deviations); evidence correlates by {:.1f} deviations",
                   options.noise.decisions, options.noise.flood, verdict.wrong,
                   verdict.expected_wrong, verdict.deviation, verdict.deviations(),
                   verdict.correlation));
  return 0;
}

int oracles_command(const Options& options) {
  const match::TestTenant tenant(64);
  const insecure_KeyService service(tenant.parameters, tenant.tenant);
  const auto wrong = [&](const RecoveredSecret& found) {
    size_t count = 0;
    for (size_t i = 0; i < match::kDegree; ++i)
      count += found.coefficients[i] != tenant.tenant.coefficients().data()[i] ? 1 : 0;
    return count;
  };
  const RecoveredSecret lengths =
      read_lengths(tenant.parameters, tenant.tenant.id(),
                   [&](auto admissions) { return service.insecure_admit(admissions); });
  const RecoveredSecret implausible = read_implausible(
      tenant.parameters, tenant.tenant.id(), insecure_KeyService::kInsecurePlausible,
      [&](const auto& request) { return service.insecure_decide(request); });
  const json result = {
      {"lengths", {{"calls", lengths.calls}, {"wrong", wrong(lengths)}}},
      {"implausible", {{"calls", implausible.calls}, {"wrong", wrong(implausible)}}}};
  show(options, result,
       fmt::format("answers as they were:\nlengths of templates      {} calls, {} of 4096 wrong\n"
                   "implausible positions     {} call, {} of 4096 wrong",
                   lengths.calls, wrong(lengths), implausible.calls, wrong(implausible)));
  return 0;
}

int padding_command(const Options& options) {
  const std::vector<uint64_t> passed = passing(options.tries, 32, 1);
  json result;
  std::string text = "half-integer templates that pass:\n";
  for (const unsigned projections : {1u, 2u, 4u, 8u, 12u, 16u, 20u, 24u, 32u}) {
    const uint64_t count = passed[projections - 1];
    result[std::to_string(projections)] = count;
    text +=
        fmt::format("  {:2} projections  {:8} of {}  (2^-{} would be {:.2g})\n", projections, count,
                    options.tries, projections,
                    std::ldexp(static_cast<double>(options.tries), -static_cast<int>(projections)));
  }
  show(options, result, text);
  return 0;
}

int scores_command(const Options& options, const std::string& images, const std::string& engine,
                   const std::string& models) {
  const Result<ScoreTable> table = measure_scores(images, engine, models);
  if (!table.ok()) {
    fmt::print(stderr, "{}\n", table.error().message);
    return 1;
  }
  const Status written = write_scores(*table, options.scores);
  if (!written.ok()) fmt::print(stderr, "{}\n", written.error().message);
  return written.ok() ? 0 : 1;
}

int main_of(int argc, char** argv) {
  Options options;
  CLI::App app("The attack laboratory");
  app.require_subcommand(1);
  app.fallthrough();
  app.add_flag("--json", options.as_json);
  const auto add_budgets = [](CLI::App* command, Budgets& budgets) {
    command->add_option("--near-margin", budgets.near_margin);
    command->add_option("--proof-score", budgets.proof_score);
    command->add_option("--near", budgets.near_per_person, "decisions of a person");
    command->add_option("--unproven", budgets.unproven_per_person);
  };
  const std::vector<std::string> ways = {"verify", "identify"};

  CLI::App* climb = app.add_subcommand("climb", "A4: a face from yes and no");
  climb->add_option("--dimension", options.campaign.dimension);
  climb->add_option("--threshold", options.campaign.threshold);
  climb->add_option("--way", options.way)->check(CLI::IsMember(ways));
  climb->add_option("--edges", options.campaign.edges);
  climb->add_option("--decoys", options.campaign.decoys, "of the edge's own face, for each answer");
  climb->add_option("--answers", options.campaign.answers, "at most");
  climb->add_option("--runs", options.runs);
  climb->add_option("--svg", options.svg, "file for the uncounted curves");
  add_budgets(climb, options.campaign.budgets);

  CLI::App* honest = app.add_subcommand("honest", "Who is locked by mistake in daily use");
  honest->add_option("--way", options.way)->check(CLI::IsMember(ways));
  honest->add_option("--threshold", options.use.threshold);
  honest->add_option("--people", options.use.people);
  honest->add_option("--days", options.use.days);
  honest->add_option("--uses", options.use.uses_per_day, "a day and person");
  honest->add_option("--attempts", options.use.attempts, "until one is accepted");
  honest->add_option("--references", options.use.references, "of each person; 0: a third 1, 2, 3");
  honest->add_option("--reaction-days", options.use.reaction_days, "below 0: never");
  honest->add_option("--scores", options.scores, "a table that `scores` wrote");
  add_budgets(honest, options.use.budgets);

  CLI::App* noise = app.add_subcommand("noise", "A3: the key from ordinary decisions");
  noise->add_option("--decisions", options.noise.decisions);
  noise->add_option("--flood", options.noise.flood);
  noise->add_flag("--ciphertexts", options.with_ciphertexts, "with ciphertexts, not in numbers");

  CLI::App* oracles = app.add_subcommand("oracles", "A1, A2: the key from what was free");
  CLI::App* padding = app.add_subcommand("padding", "A6: half-integer templates");
  padding->add_option("--tries", options.tries);

  std::string images, engine = "models/mobilefacenet.json", models;
  CLI::App* scores = app.add_subcommand("scores", "A table for `honest` from labelled photos");
  scores->add_option("--images", images, "a folder of folders, one for each person")->required();
  scores->add_option("--engine", engine);
  scores->add_option("--models", models, "folder of weights")->required();
  scores->add_option("--out", options.scores)->required();

  CLI11_PARSE(app, argc, argv);
  if (climb->parsed()) return climb_command(options);
  if (honest->parsed()) return honest_command(options);
  if (noise->parsed()) return noise_command(options);
  if (oracles->parsed()) return oracles_command(options);
  if (padding->parsed()) return padding_command(options);
  return scores_command(options, images, engine, models);
}

}  // namespace
}  // namespace bauta::laboratory

int main(int argc, char** argv) {
  return bauta::laboratory::main_of(argc, argv);
}
