#include "apps/cli/arguments.h"

#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>

namespace bauta::cli {
namespace {

namespace fs = std::filesystem;

fs::path default_data_directory() {
  if (const char* data = std::getenv("BAUTA_DATA"); data != nullptr && *data != 0) return data;
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : ".") / ".local/share/bauta";
}

fs::path default_token_directory(const fs::path& data) {
  if (const char* token = std::getenv("BAUTA_TOKEN"); token != nullptr && *token != 0) return token;
  fs::path beside = fs::absolute(data).lexically_normal();
  if (!beside.has_filename()) beside = beside.parent_path();
  return beside += "-token";
}

// Builds the tree of subcommands; `chosen` is set to what the command line asked for.
class Parser {
 public:
  Parser()
      : app_("bauta recognises faces while the servers that store and compare them never see one.",
             "bauta") {
    app_.set_version_flag("--version", BAUTA_VERSION);
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.failure_message(CLI::FailureMessage::help);
    app_.add_option("--data", common_.data,
                    "Directory of galleries and public keys [$BAUTA_DATA or ~/.local/share/bauta]");
    app_.add_option(
        "--token", common_.token,
        "Directory of the embedded key token, outside --data [$BAUTA_TOKEN or DATA-token]");
    app_.add_option("--threads", common_.threads, "Threads [one for each processor]")
        ->check(CLI::Range(1, 1024));
    app_.add_flag("--json", common_.json, "Print one JSON document on stdout and nothing else");
    app_.add_option("--config", common_.config,
                    "Configuration of the roles [bauta.toml in --data, made at the first start]");
    add_keys();
    add_edges();
    add_grants();
    add_audit();
    add_gallery();
    add_recognition();
    add_eval();
    add_bench();
    add_services();
    add_platform();
    add_demo();
  }

  Arguments parse(int argc, char** argv) {
    Arguments arguments;
    try {
      app_.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      arguments.exit_code = app_.exit(error) == 0 ? kYes : kBadUsage;
      return arguments;
    }
    if (common_.data.empty()) common_.data = default_data_directory();
    if (common_.token.empty()) common_.token = default_token_directory(common_.data);
    arguments.common = common_;
    arguments.command = chosen_;
    return arguments;
  }

 private:
  // A subcommand whose options live as long as the parser and that runs `run` when it is chosen.
  template <typename Options>
  std::pair<CLI::App*, Options*> add(CLI::App* parent, const char* name, const char* description,
                                     Result<Report> (*run)(const CommonOptions&, const Options&)) {
    CLI::App* command = parent->add_subcommand(name, description);
    command->fallthrough();
    auto options = std::make_shared<Options>();
    command->callback([this, run, options] {
      chosen_ = [run, options](const CommonOptions& common) { return run(common, *options); };
    });
    return {command, options.get()};
  }
  void add(CLI::App* parent, const char* name, const char* description,
           Result<Report> (*run)(const CommonOptions&)) {
    CLI::App* command = parent->add_subcommand(name, description);
    command->fallthrough();
    command->callback([this, run] { chosen_ = run; });
  }
  CLI::App* add_group(const char* name, const char* description) {
    CLI::App* group = app_.add_subcommand(name, description);
    group->require_subcommand(1);
    group->fallthrough();
    return group;
  }

  void add_keys() {
    CLI::App* keys = add_group("keys", "Keys of tenants, held in the token");
    auto [init, options] = add(
        keys, "init", "Create a tenant's key in the token (and the token, at first)", keys_init);
    init->add_option("--tenant", options->tenant, "Name of the tenant")->capture_default_str();
    init->add_flag(
        "--evaluation", options->evaluation,
        "Let decisions under this key carry rounded scores: for measuring, not for people");
    init->add_option("--candidates", options->use.candidates,
                     "Positions that an identification under this key may name")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    init->add_option("--budget", options->use.decision_budget,
                     "Decisions that this key may make [as policy.json says: 1,000,000]");
    add(keys, "status", "List the keys: states, dates, decisions made and left", keys_status);
    {
      auto [redeliver, again] =
          add(keys, "redeliver", "Let an edge that has lost its own keys have them once more",
              keys_redeliver);
      redeliver->add_option("--edge", again->edge, "Name of the edge")->required();
    }
    add(keys, "locks", "List the people and edges that the key service refuses", keys_locks);
    {
      auto [unlock, who] =
          add(keys, "unlock", "Let a person or an edge be answered again, on record", keys_unlock);
      unlock->add_option("--gallery", who->gallery, "Gallery [every, for a stopped edge]");
      unlock->add_option("--edge", who->edge, "Name of the edge");
      unlock->add_option("--subject", who->subject, "Name of the person");
      unlock->add_option("--person", who->person, "Digest of the person, as 'locks' shows it");
    }
    add_key_changes(keys);
    add_key_backup(keys);
  }

  void add_edges() {
    CLI::App* edges = add_group("edges", "Devices that send ciphertexts");
    auto [revoke, options] =
        add(edges, "revoke",
            "Refuse an edge everything, for ever; running services notice within a second. Where "
            "the roles have data directories of their own, run it on the key service's",
            edges_revoke);
    revoke->add_option("edge", options->edge, "Name of the edge")->required();
  }

  void add_grants() {
    CLI::App* grants =
        add_group("grants", "What edges may do; on the key service's data directory");
    add(grants, "list", "List the grants, and the edges that are revoked", grants_list);
    {
      auto [give, options] = add(grants, "give",
                                 "Give an edge rights on a gallery, in place of "
                                 "those that it had there",
                                 grants_give);
      give->add_option("edge", options->edge, "Name of the edge")->required();
      give->add_option("--gallery", options->gallery, "Name of the gallery, or '*' for every one")
          ->required();
      give->add_option("--rights", options->rights,
                       "recognise, enrol, erase, admin: with commas between them")
          ->required();
      give->add_option("--tenant", options->tenant, "Name of the tenant, or '*' for every one")
          ->capture_default_str();
      give->add_option("--days", options->days, "End them after so many days [no end]")
          ->check(CLI::Range(1, 36'500));
    }
    auto [take, options] = add(grants, "take", "End an edge's grants", grants_take);
    take->add_option("edge", options->edge, "Name of the edge")->required();
    take->add_option("--gallery", options->gallery, "Only those on this gallery ('*' is one)");
    take->add_option("--tenant", options->tenant, "Only those of this tenant");
  }

  void add_key_changes(CLI::App* keys) {
    {
      auto [rotate, options] =
          add(keys, "rotate",
              "Make a tenant's next key and use it for new galleries; older ones stay under "
              "their key until they are renewed",
              keys_rotate);
      rotate->add_option("--tenant", options->tenant, "Name of the tenant")->capture_default_str();
      rotate->add_option("--budget", options->decision_budget,
                         "Decisions that the new key may make [as the one before]");
    }
    {
      auto [suspend, choice] =
          add(keys, "suspend", "Refuse every use of a key until it is resumed", keys_suspend);
      add_key_choice(suspend, choice);
    }
    {
      auto [resume, choice] = add(keys, "resume", "Use a suspended key again", keys_resume);
      add_key_choice(resume, choice);
    }
    {
      auto [destroy, options] =
          add(keys, "destroy",
              "Destroy a key with its copies and switching keys: nothing under it opens again",
              keys_destroy);
      add_key_choice(destroy, &options->choice);
      destroy->add_flag("--yes", options->yes, "Really destroy it");
    }
  }
  static void add_key_choice(CLI::App* command, KeyChoice* choice) {
    command->add_option("--tenant", choice->tenant, "Name of the tenant")->capture_default_str();
    command->add_option("--generation", choice->generation, "Which of its keys [the newest]");
  }

  void add_key_backup(CLI::App* keys) {
    add(keys, "backup-key",
        "Print the public key under which this token takes backups of another (and make it)",
        keys_backup_key);
    {
      auto [backup, options] = add(keys, "backup", "Write wrapped copies of all keys", keys_backup);
      backup->add_option("directory", options->directory, "Where to")->required();
      backup->add_option("--backup-key", options->backup_key,
                         "File with the other token's 'keys backup-key', to trust from now on");
    }
    {
      auto [restore, options] =
          add(keys, "restore", "Take wrapped copies of keys over into this token", keys_restore);
      restore->add_option("directory", options->directory, "Where from")->required();
      restore->add_option("--signer", options->signer, "What 'keys backup' said to keep apart")
          ->required();
    }
  }

  void add_audit() {
    CLI::App* audit = add_group("audit", "The logs of decisions and changes");
    add(audit, "verify", "Recompute both chains and check the token's signature", audit_verify);
  }

  void add_gallery() {
    CLI::App* gallery = add_group("gallery", "Galleries of encrypted references");
    {
      auto [create, options] = add(gallery, "create", "Create an empty gallery", gallery_create);
      create->add_option("gallery", options->gallery, "Name of the gallery")->required();
      create
          ->add_option("--engine", options->engine,
                       "Feature extractor: patchnet, classic, or the file that describes a network")
          ->capture_default_str();
      create
          ->add_option("--detector", options->detector,
                       "Face detector: haar5, haar, yunet, or the ONNX file of YuNet")
          ->capture_default_str();
      create->add_option("--tenant", options->tenant, "Tenant whose key the references are under")
          ->capture_default_str();
    }
    add(gallery, "list", "List the galleries", gallery_list);
    {
      auto [stats, options] = add(gallery, "stats", "Show what a gallery holds", gallery_stats);
      stats->add_option("gallery", *options, "Name of the gallery")->required();
    }
    {
      auto [import, options] =
          add(gallery, "import",
              "Add embeddings that were made elsewhere, whole blocks at a time, encrypted here",
              gallery_import);
      import->add_option("gallery", options->gallery, "Name of the gallery")->required();
      import
          ->add_option(
              "--npy", options->embeddings,
              "NumPy file of float32 or float64: one unit vector a row, of the gallery's dimension")
          ->required();
      import
          ->add_option("--ids", options->subjects,
                       "Text file: one subject a line, in the order of the rows")
          ->required();
      import->add_flag("--add", options->add,
                       "Also to subjects that are enrolled already, or named more than once");
      import->add_flag(
          "--singly", options->singly,
          "Enrol one after the other, as from an edge: admitted by the key service, with "
          "an original, each durable before the next; some hundred times slower");
    }
    {
      auto [backup, options] =
          add(gallery, "export", "Write a gallery to one file, as encrypted as it is, as a backup",
              gallery_export);
      backup->add_option("gallery", options->gallery, "Name of the gallery")->required();
      backup->add_option("file", options->file, "File to write; it must not exist")->required();
    }
    {
      auto [restore, options] =
          add(gallery, "restore", "Make a gallery from a backup", gallery_restore);
      restore->add_option("gallery", options->gallery, "Name of the gallery to make")->required();
      restore->add_option("file", options->file, "The backup")->required();
      restore
          ->add_option("--engine", options->engine,
                       "Feature extractor that the gallery was created with")
          ->capture_default_str();
      restore->add_option("--detector", options->detector, "Face detector to use from now on")
          ->capture_default_str();
    }
    {
      auto [repair, options] = add(
          gallery, "repair",
          "Make damaged files of a gallery anew, from its originals and a backup", gallery_repair);
      repair->add_option("gallery", options->gallery, "Name of the gallery")->required();
      repair->add_option("--from", options->backup,
                         "Backup to take imported blocks from, which have no originals");
    }
    {
      auto [renew, options] =
          add(gallery, "renew",
              "Re-encrypt a gallery under its tenant's active key, unread, while it stays in use",
              gallery_renew);
      renew->add_option("gallery", *options, "Name of the gallery")->required();
    }
    {
      auto [rewrite, options] =
          add(gallery, "rewrite",
              "Take what was erased out of imported blocks, with the tenant's key: decrypted, "
              "zeroed and encrypted anew in locked memory",
              gallery_rewrite);
      rewrite->add_option("gallery", *options, "Name of the gallery")->required();
    }
    {
      auto [compact, options] =
          add(gallery, "compact",
              "Bring the stored blocks of a gallery up to date now, and remove what was erased",
              gallery_compact);
      compact->add_option("gallery", *options, "Name of the gallery")->required();
    }
    {
      auto [remove, options] =
          add(gallery, "delete", "Delete a gallery and all its references", gallery_delete);
      remove->add_option("gallery", options->gallery, "Name of the gallery")->required();
      remove->add_flag("--yes", options->yes, "Really delete it");
    }
  }

  void add_recognition() {
    {
      auto [command, options] =
          add(&app_, "enroll", "Enrol a subject from one or more images", enroll);
      command->add_option("--gallery", options->gallery, "Gallery")->required();
      command->add_option("--subject", options->subject, "Identifier of the subject")->required();
      add_mode(command, options->mode);
      command->add_flag("--add", options->add,
                        "Add references to a subject that is enrolled already");
      command->add_option("images", options->images, "Image files, one face each")->required();
    }
    {
      auto [command, options] =
          add(&app_, "erase", "Erase a subject and all its references", erase);
      command->add_option("--gallery", options->gallery, "Gallery")->required();
      command->add_option("--subject", options->subject, "Identifier of the subject")->required();
    }
    {
      auto [command, options] =
          add(&app_, "identify", "Say who is in each image, or that nobody enrolled is (1:N)",
              identify);
      command->add_option("--gallery", options->gallery, "Gallery")->required();
      add_mode(command, options->mode);
      command
          ->add_option("--candidates", options->candidates,
                       "Name up to so many subjects at or above the threshold, if the key allows")
          ->check(CLI::Range(1, 1000))
          ->capture_default_str();
      command->add_option("images", options->images, "Image files, one face each")->required();
    }
    {
      auto [command, options] =
          add(&app_, "verify", "Say whether an image shows the subject claimed (1:1)", verify);
      command->add_option("--gallery", options->gallery, "Gallery")->required();
      command->add_option("--subject", options->subject, "Identifier of the claimed subject")
          ->required();
      add_mode(command, options->mode);
      command->add_option("image", options->image, "Image file, one face")->required();
    }
  }

  static void add_mode(CLI::App* command, std::string& mode) {
    command
        ->add_option("--mode", mode,
                     "What is encrypted: the template, or the image itself, whose features the "
                     "server extracts unseen (engine patchnet; seconds, and 2 GB of memory)")
        ->check(CLI::IsMember({"template", kImageMode}))
        ->capture_default_str();
  }

  void add_eval() {
    CLI::App* eval = add_group("eval", "Measure accuracy on labelled images");
    {
      auto [pairs, options] =
          add(eval, "pairs", "1:1 accuracy on a list of pairs in the LFW format, or a set of them",
              eval_pairs);
      pairs->add_option("--pairs", options->pairs, "Pairs file; goes with --images");
      pairs->add_option("--set", options->set,
                        "In place of both: a verification set (lfw.bin, agedb_30.bin, calfw.bin, "
                        "cplfw.bin, cfp_fp.bin): pairs of images that are aligned already");
      add_eval_options(pairs, options);
      pairs
          ->add_option("--target-fmr", options->target_fmr,
                       "Also say at which threshold the false match rate is at most this")
          ->check(CLI::Range(1e-9, 0.5));
      pairs
          ->add_option("--mode", options->mode,
                       "plain: compare in the clear; template: under encryption; image: extract "
                       "the features under encryption too (seconds an image)")
          ->check(CLI::IsMember({"plain", "template", kImageMode}))
          ->capture_default_str();
      pairs->add_flag("--production-key", options->production_key,
                      "Under a key as in production, which tells no scores: decisions at the "
                      "engine's threshold, beside those in the clear");
      pairs->add_option("--sample", options->sample,
                        "Use only this many pairs, spread evenly [all]");
    }
    {
      auto [open_set, options] =
          add(eval, "identify", "1:N open-set accuracy at the engine's threshold", eval_identify);
      add_eval_options(open_set, options)->required();
      open_set
          ->add_option("--target-fpir", options->target_fpir,
                       "Also say at which threshold the false positive rate is at most this")
          ->check(CLI::Range(1e-9, 0.5));
      open_set->add_option("--svg", options->svg, "Draw FNIR against FPIR into this file");
      open_set
          ->add_option("--mode", options->mode,
                       "plain: compare in the clear; template: under encryption; network: images "
                       "over HTTPS to roles in processes of their own")
          ->check(CLI::IsMember({"plain", "template", "network"}))
          ->capture_default_str();
      open_set->add_option("--enrolled", options->enrolled, "Subjects to enrol, one image each")
          ->capture_default_str();
      open_set
          ->add_option("--probes", options->probes,
                       "Other images to identify: of enrolled and of unknown people")
          ->capture_default_str();
    }
    {
      auto [ranges, options] =
          add(eval, "ranges", "How large a network's values become on faces, beside its bounds",
              eval_ranges);
      ranges->add_option("--model", options->model, "Network file (.bnet)")->required();
      ranges->add_option(
          "--images", options->images,
          "Folder of photos, searched in depth [without --crops: examples/people of the sources]");
      ranges->add_option(
          "--crops", options->crops,
          "Aligned faces as the network packs them: a .npy file, a row of float32 RGB "
          "values from 0 to 255 for each");
      ranges
          ->add_option("--detector", options->detector,
                       "Face detector: haar5, haar, yunet, or the ONNX file of YuNet")
          ->capture_default_str();
    }
  }
  // The option of the images.
  static CLI::Option* add_eval_options(CLI::App* command, EvalOptions* options) {
    CLI::Option* images =
        command->add_option("--images", options->images, "Folder with NAME/NAME_0001.jpg");
    command
        ->add_option("--engine", options->engine,
                     "Feature extractor: patchnet, classic, or the file that describes a network")
        ->capture_default_str();
    command
        ->add_option("--detector", options->detector,
                     "Face detector: haar5, haar, yunet, or the ONNX file of YuNet")
        ->capture_default_str();
    return images;
  }

  void add_bench() {
    CLI::App* bench = add_group("bench", "Measure speed on synthetic data");
    {
      auto [match, options] =
          add(bench, "match", "Search an encrypted gallery: time by part, score error, memory",
              bench_match);
      match->add_option("--references", options->references, "References in the gallery")
          ->required()
          ->check(CLI::Range(1, 4'000'000));
      match->add_option("--dim", options->dimension, "Dimension of the embeddings")
          ->required()
          ->check(CLI::Range(1, 1024));
      match->add_option("--probes", options->probes, "Probes searched for at once")
          ->check(CLI::Range(1, 64))
          ->capture_default_str();
      match
          ->add_option("--mode", options->mode,
                       "sealed: the probe is encrypted too; visible: the server sees it")
          ->check(CLI::IsMember({"sealed", "visible"}))
          ->capture_default_str();
    }
    {
      auto [decide, options] =
          add(bench, "decide", "The key service's decision: ticket, admission, scores, log",
              bench_decide);
      decide->add_option("--references", options->references, "References that were searched")
          ->required()
          ->check(CLI::Range(1, 4'000'000));
    }
    {
      auto [log, options] =
          add(bench, "log", "Records of decisions and searches on this disk", bench_log);
      log->add_option("--threads", options->threads, "Callers at the same time")
          ->delimiter(',')
          ->check(CLI::Range(1, 1000))
          ->capture_default_str();
    }
    {
      auto [network, options] =
          add(bench, "network", "A patch network on encrypted faces, beside its prediction",
              bench_network);
      network->add_option("--model", options->model, "Network file (.bnet)")->required();
      network->add_option("images", options->images, "Images with a face [three of the demo's]");
    }
    {
      auto [primitives, options] =
          add(bench, "primitives", "Operations of the encrypted arithmetic, one thread by default",
              bench_primitives);
      primitives->add_option("--n", options->degree, "Only this ring degree [all]")
          ->check(CLI::IsMember({4096, 16384, 32768, 65536}));
    }
    {
      auto [clusters, options] =
          add(bench, "clusters",
              "Search of the nearest clusters alone: time saved, matches lost, bits leaked",
              bench_clusters);
      clusters->add_option("--references", options->references, "References in the gallery")
          ->check(CLI::Range(1, 1'000'000))
          ->capture_default_str();
      clusters->add_option("--cluster-size", options->cluster_sizes, "At most so many in a cluster")
          ->delimiter(',')
          ->check(CLI::Range(1, 1'000'000))
          ->capture_default_str();
      clusters->add_option("--visited", options->visited, "Clusters searched, ascending")
          ->delimiter(',')
          ->check(CLI::Range(1, 10'000))
          ->capture_default_str();
      clusters->add_option("--dim", options->dimension, "Of random templates")
          ->check(CLI::Range(1, 1024))
          ->capture_default_str();
      clusters->add_option("--images", options->images,
                           "Folder with NAME/NAME_0001.jpg, in place of random templates");
      clusters->add_option("--engine", options->engine, "Feature extractor")->capture_default_str();
      clusters->add_option("--detector", options->detector, "Face detector")->capture_default_str();
    }
    add_service_benches(bench);
  }

  void add_service_benches(CLI::App* bench) {
    {
      auto [time, options] =
          add(bench, "response-time",
              "What a device waits for, over HTTPS and all roles, beside the paper's figures",
              bench_response_time);
      time->add_option("--registrants", options->registrants, "Registrants, e.g. 1,50,100,500")
          ->required()
          ->delimiter(',')
          ->check(CLI::Range(1, 4'000'000));
      time->add_option("--strategy", options->strategy,
                       "How templates are compared; round-robin: one template per ciphertext")
          ->check(CLI::IsMember({"packed", "round-robin", "both"}))
          ->capture_default_str();
      time->add_option("--dim", options->dimension,
                       "Random templates of this dimension, from an edge over gRPC; no images")
          ->check(CLI::Range(1, 1024));
      time->add_option("--images", options->images,
                       "Folder with NAME/NAME_0001.jpg; random templates where they run out "
                       "[examples/people of the sources]");
      time->add_option("--engine", options->engine, "Feature extractor")->capture_default_str();
      time->add_option("--detector", options->detector, "Face detector")->capture_default_str();
      time->add_option("--delay-ms", options->delay_ms,
                       "Imitate a distant server: so much later each way between the device and "
                       "the edge (with --dim: the edge and the authentication server)")
          ->check(CLI::Range(0.0, 10'000.0))
          ->capture_default_str();
      time->add_option("--mbit", options->megabits_per_s,
                       "And megabits a second each way; 0: no limit")
          ->check(CLI::Range(0.0, 1e6))
          ->capture_default_str();
      time->add_option("--csv", options->csv, "Also write the figures to this file");
      time->add_option("--svg", options->svg, "Also draw them to this file");
    }
    auto [load, options] = add(
        bench, "load", "Many devices that identify at once, over HTTPS and all roles", bench_load);
    load->add_option("--rps", options->rps, "Requests a second, all clients together; 0: no pause")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    load->add_option("--seconds", options->seconds, "For how long")
        ->check(CLI::Range(0.1, 86'400.0))
        ->capture_default_str();
    load->add_option("--clients", options->clients, "Connections")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    load->add_option("--references", options->references, "References in the gallery")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
    load->add_option("--image", options->image, "What is identified [one of the demo people]");
    load->add_option("--engine", options->engine, "Feature extractor")->capture_default_str();
    load->add_option("--detector", options->detector, "Face detector")->capture_default_str();
    load->add_option("--dim", options->dimension,
                     "Random templates of this dimension instead, each client an edge over gRPC")
        ->check(CLI::Range(1, 1024));
    load->add_flag("--overload", options->overload,
                   "Then twice the rate that was answered, and then the first load again");
  }

  void add_services() {
    {
      auto [command, options] =
          add(&app_, "serve", "Run a role as a network service, or all on this machine", serve);
      command
          ->add_option("--role", options->role,
                       "edge, auth, key, storage or linkage; all: a process for each, watched over")
          ->check(CLI::IsMember({"edge", "auth", "key", "storage", "linkage", "all"}))
          ->capture_default_str();
    }
    CLI::App* config = add_group("config", "The configuration of `bauta serve`");
    add(config, "check", "Read a configuration and say what is wrong with it", config_check);
    add(config, "default", "Print the default configuration, every option explained",
        config_default);
    add(config, "init", "Write the configurations and API keys of a first start, without starting",
        config_init);
    CLI::App* ca = add_group("ca", "A certificate authority for one deployment");
    {
      auto [init, options] = add(ca, "init", "Make the authority", ca_init);
      init->add_option("--ca", options->directory, "Directory of the authority [tls in --data]");
    }
    auto [issue, options] =
        add(ca, "issue", "Issue a certificate with a new private key", ca_issue);
    issue->add_option("--ca", options->directory, "Directory of the authority [tls in --data]");
    issue->add_option("--out", options->out, "Directory for the files [that of the authority]");
    issue
        ->add_option("--name", options->name, "auth, key, storage, linkage, or the name of an edge")
        ->required();
    issue->add_option("--host", options->hosts,
                      "Host names and addresses under which it is reached by devices");
    issue
        ->add_option("--role", options->role,
                     "What its owner is [auth, key, storage and linkage are; others are an edge]")
        ->check(CLI::IsMember({"edge", "auth", "key", "storage", "linkage", "worker"}));
    issue->add_flag("--replace", options->replace,
                    "Replace the certificate in --out, for the same key, name and hosts");
    issue->add_option("--days", options->days, "Valid for so many days")
        ->check(CLI::Range(1, 3650))
        ->capture_default_str();
  }

  void add_platform() {
    {
      auto [command, options] =
          add(&app_, "invite", "Make an invitation to register, as a link and a QR code", invite);
      command->add_option("--hours", options->hours, "Good for so many hours")
          ->check(CLI::Range(1, 8760))
          ->capture_default_str();
      command->add_option("--svg", options->svg, "Also write the QR code to this file");
    }
    CLI::App* consents = add_group("consents", "The ledger of consents");
    add(consents, "verify", "Recompute the ledger and check every signature", consents_verify);
    auto [check, options] = add(consents, "check", "Check a person's receipt", consents_check);
    check->add_option("receipt", options->receipt, "File of the receipt")->required();
  }

  void add_demo() {
    auto [command, options] =
        add(&app_, "demo", "Enrol fictitious people and recognise them under encryption", demo);
    command->add_option("--people", options->people,
                        "Folder of the demo people [examples/people of the sources]");
  }

  CLI::App app_;
  CommonOptions common_;
  Command chosen_;
};

}  // namespace

Arguments parse_arguments(int argc, char** argv) {
  return Parser().parse(argc, argv);
}

}  // namespace bauta::cli
