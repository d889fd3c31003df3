// The command line of `bauta`: names, options and help texts. CLI11 stays behind arguments.cpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "keys/key_store.h"

namespace bauta::cli {

// Options of every command.
struct CommonOptions {
  std::filesystem::path data;    // everything that the parties keep, but the token
  std::filesystem::path token;   // the SoftHSM token; outside `data` and its backups
  std::filesystem::path config;  // of `bauta serve`; empty: bauta.toml in `data`
  size_t threads = 0;            // 0: one for each processor
  bool json = false;
};

struct KeysInitOptions {
  std::string tenant = "default";
  bool evaluation = false;
  keys::KeyUse use;
};

struct KeysRotateOptions {
  std::string tenant = "default";
  uint64_t decision_budget = 0;  // 0: that of the key before
};

struct KeyChoice {
  std::string tenant = "default";
  uint32_t generation = 0;  // 0: the newest
};

struct KeysDestroyOptions {
  KeyChoice choice;
  bool yes = false;
};

struct KeysBackupOptions {
  std::filesystem::path directory, backup_key;
};

struct KeysRestoreOptions {
  std::filesystem::path directory;
  std::string signer;
};

struct GalleryCreateOptions {
  std::string gallery;
  std::string engine = "patchnet";
  std::string detector = "haar5";
  std::string tenant = "default";
};

struct GalleryDeleteOptions {
  std::string gallery;
  bool yes = false;
};

// What an edge sends: "template" or "image".
inline constexpr const char* kImageMode = "image";

struct GalleryImportOptions {
  std::string gallery;
  std::filesystem::path embeddings, subjects;
  bool add = false, singly = false;
};

struct GalleryExportOptions {
  std::string gallery;
  std::filesystem::path file;
};

struct GalleryRestoreOptions {
  std::string gallery;
  std::filesystem::path file;
  std::string engine = "patchnet";
  std::string detector = "haar5";
};

struct GalleryRepairOptions {
  std::string gallery;
  std::filesystem::path backup;
};

struct EnrollOptions {
  std::string gallery, subject, mode = "template";
  bool add = false;
  std::vector<std::filesystem::path> images;
};

struct EraseOptions {
  std::string gallery, subject;
};

struct IdentifyOptions {
  std::string gallery, mode = "template";
  uint32_t candidates = 1;
  std::vector<std::filesystem::path> images;
};

struct VerifyOptions {
  std::string gallery, subject, mode = "template";
  std::filesystem::path image;
};

struct EvalOptions {
  std::filesystem::path pairs, images, set, svg;
  std::string engine = "patchnet", detector = "haar5", mode = "template";
  double target_fmr = 0, target_fpir = 0;  // 0: no calibration
  size_t sample = 0;                       // 0: all
  bool production_key = false;
  size_t enrolled = 500, probes = 500;
};

struct EvalRangesOptions {
  std::filesystem::path model, images, crops;
  std::string detector = "haar5";
};

struct ServeOptions {
  std::string role = "all";
};

struct CaOptions {
  std::filesystem::path directory, out;  // empty: tls in the data directory; as the directory
  std::string name, role;                // role empty: that of the name
  std::vector<std::string> hosts;
  int days = 825;
  bool replace = false;
};

struct InviteOptions {
  int hours = 24;
  std::filesystem::path svg;
};

struct ReceiptOptions {
  std::filesystem::path receipt;
};

struct RedeliverOptions {
  std::string edge;
};

struct UnlockOptions {
  std::string gallery, edge, subject, person;  // one of the last three
};

struct EdgesRevokeOptions {
  std::string edge;
};

struct GrantsGiveOptions {
  std::string edge, gallery, rights, tenant = "default";
  int64_t days = 0;  // 0: no end
};

struct GrantsTakeOptions {
  std::string edge, gallery, tenant;  // the last two may be empty: any
};

struct DemoOptions {
  std::filesystem::path people;
};

struct BenchMatchOptions {
  size_t references = 0, dimension = 0, probes = 1;
  std::string mode = "sealed";
};

struct BenchDecideOptions {
  size_t references = 0;
};

struct BenchLogOptions {
  std::vector<size_t> threads = {1, 8, 32};
};

struct BenchPrimitivesOptions {
  size_t degree = 0;  // 0: all
};

struct BenchResponseTimeOptions {
  std::vector<size_t> registrants;
  size_t dimension = 0;  // 0: the engine's
  std::string strategy = "packed", engine = "patchnet", detector = "haar5";
  double delay_ms = 0, megabits_per_s = 0;
  std::filesystem::path images, csv, svg;
};

struct BenchLoadOptions {
  double rps = 0, seconds = 10;
  size_t clients = 4, references = 1000;
  size_t dimension = 0;  // 0: images over HTTPS
  std::string engine = "patchnet", detector = "haar5";
  std::filesystem::path image;
  bool overload = false;
};

struct BenchClustersOptions {
  size_t references = 500, dimension = 128;
  std::vector<size_t> cluster_sizes{120, 500}, visited{1, 2, 5};
  std::string engine = "patchnet", detector = "haar5";
  std::filesystem::path images;
};

struct BenchNetworkOptions {
  std::filesystem::path model;
  std::vector<std::filesystem::path> images;  // none: some of the demo's
};

// What main() runs: the one command that was asked for.
using Command = std::function<Result<Report>(const CommonOptions&)>;

struct Arguments {
  CommonOptions common;
  Command command;  // empty: `exit_code` says why (help was printed, or bad usage explained)
  int exit_code = kYes;
};

// Reads the command line; prints help, version and usage errors itself.
Arguments parse_arguments(int argc, char** argv);

// The commands, by file.
Result<Report> keys_init(const CommonOptions&, const KeysInitOptions&);            // keys.cpp
Result<Report> keys_status(const CommonOptions&);                                  // keys.cpp
Result<Report> keys_redeliver(const CommonOptions&, const RedeliverOptions&);      // keys.cpp
Result<Report> keys_locks(const CommonOptions&);                                   // keys.cpp
Result<Report> keys_unlock(const CommonOptions&, const UnlockOptions&);            // keys.cpp
Result<Report> edges_revoke(const CommonOptions&, const EdgesRevokeOptions&);      // keys.cpp
Result<Report> grants_list(const CommonOptions&);                                  // grants.cpp
Result<Report> grants_give(const CommonOptions&, const GrantsGiveOptions&);        // grants.cpp
Result<Report> grants_take(const CommonOptions&, const GrantsTakeOptions&);        // grants.cpp
Result<Report> keys_rotate(const CommonOptions&, const KeysRotateOptions&);        // keys.cpp
Result<Report> keys_suspend(const CommonOptions&, const KeyChoice&);               // keys.cpp
Result<Report> keys_resume(const CommonOptions&, const KeyChoice&);                // keys.cpp
Result<Report> keys_destroy(const CommonOptions&, const KeysDestroyOptions&);      // keys.cpp
Result<Report> keys_backup_key(const CommonOptions&);                              // keys.cpp
Result<Report> keys_backup(const CommonOptions&, const KeysBackupOptions&);        // keys.cpp
Result<Report> keys_restore(const CommonOptions&, const KeysRestoreOptions&);      // keys.cpp
Result<Report> audit_verify(const CommonOptions&);                                 // keys.cpp
Result<Report> gallery_create(const CommonOptions&, const GalleryCreateOptions&);  // gallery.cpp
Result<Report> gallery_list(const CommonOptions&);                                 // gallery.cpp
Result<Report> gallery_stats(const CommonOptions&, const std::string& gallery);    // gallery.cpp
Result<Report> gallery_delete(const CommonOptions&, const GalleryDeleteOptions&);  // gallery.cpp
Result<Report> gallery_export(const CommonOptions&,
                              const GalleryExportOptions&);  // gallery_backup.cpp
Result<Report> gallery_restore(const CommonOptions&,
                               const GalleryRestoreOptions&);  // gallery_backup.cpp
Result<Report> gallery_repair(const CommonOptions&,
                              const GalleryRepairOptions&);                // gallery_backup.cpp
Result<Report> gallery_renew(const CommonOptions&, const std::string&);    // gallery_renew.cpp
Result<Report> gallery_rewrite(const CommonOptions&, const std::string&);  // gallery_renew.cpp
Result<Report> gallery_compact(const CommonOptions&,
                               const std::string& gallery);  // gallery_backup.cpp
Result<Report> gallery_import(const CommonOptions&,
                              const GalleryImportOptions&);                    // gallery_import.cpp
Result<Report> enroll(const CommonOptions&, const EnrollOptions&);             // recognise.cpp
Result<Report> erase(const CommonOptions&, const EraseOptions&);               // recognise.cpp
Result<Report> identify(const CommonOptions&, const IdentifyOptions&);         // recognise.cpp
Result<Report> verify(const CommonOptions&, const VerifyOptions&);             // recognise.cpp
Result<Report> eval_pairs(const CommonOptions&, const EvalOptions&);           // eval.cpp
Result<Report> eval_identify(const CommonOptions&, const EvalOptions&);        // eval.cpp
Result<Report> eval_ranges(const CommonOptions&, const EvalRangesOptions&);    // eval_ranges.cpp
Result<Report> bench_match(const CommonOptions&, const BenchMatchOptions&);    // bench_match.cpp
Result<Report> bench_decide(const CommonOptions&, const BenchDecideOptions&);  // bench_decide.cpp
Result<Report> bench_log(const CommonOptions&, const BenchLogOptions&);        // bench_log.cpp
Result<Report> bench_network(const CommonOptions&,
                             const BenchNetworkOptions&);  // bench_network.cpp
Result<Report> bench_primitives(const CommonOptions&,
                                const BenchPrimitivesOptions&);  // bench_primitives.cpp
Result<Report> bench_response_time(const CommonOptions&,
                                   const BenchResponseTimeOptions&);  // bench_response_time.cpp
Result<Report> bench_clusters(const CommonOptions&,
                              const BenchClustersOptions&);                // bench_clusters.cpp
Result<Report> bench_load(const CommonOptions&, const BenchLoadOptions&);  // bench_load.cpp
Result<Report> ca_init(const CommonOptions&, const CaOptions&);            // certificates.cpp
Result<Report> ca_issue(const CommonOptions&, const CaOptions&);           // certificates.cpp
Result<Report> config_check(const CommonOptions&);                         // serve.cpp
Result<Report> config_default(const CommonOptions&);                       // serve.cpp
Result<Report> config_init(const CommonOptions&);                          // serve.cpp
// Returns when the process is told to stop.
Result<Report> serve(const CommonOptions&, const ServeOptions&);             // serve.cpp
Result<Report> demo(const CommonOptions&, const DemoOptions&);               // demo.cpp
Result<Report> invite(const CommonOptions&, const InviteOptions&);           // platform.cpp
Result<Report> consents_verify(const CommonOptions&);                        // platform.cpp
Result<Report> consents_check(const CommonOptions&, const ReceiptOptions&);  // platform.cpp

}  // namespace bauta::cli
