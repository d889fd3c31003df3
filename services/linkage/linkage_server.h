// The linkage server: registration, consent, and the jobs that follow from them. A person's package
// is sealed as soon as it has arrived, lies at the storage server, and is opened by jobs that its
// person has opted in to, in locked memory, for the time of the job.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "face/pipeline.h"
#include "services/linkage/backups.h"
#include "services/linkage/consent_ledger.h"
#include "services/linkage/engine.h"
#include "services/linkage/registry.h"
#include "services/services.h"

namespace bauta::linkage {

struct LinkageOptions {
  std::filesystem::path directory;  // registry.sqlite, consents.log
  std::string detector = "haar5";
  int64_t collect_interval_ms = 1'000;  // of the engines' logs and response times
  BackupSchedule backups;
};

// What is told to the person about a picture before it is kept.
struct Verdict {
  bool usable = false;
  std::string reason;  // why not; a sentence for the person
};

struct Registration {
  std::string person;
  std::string session;  // secret; its digest is kept
  Receipt receipt;
};

// What became of checking one log. Whole: chain and signatures fit.
struct LogCheck {
  std::string engine;  // empty: the consent ledger
  bool checked = false;
  bool whole = false;
  uint64_t records = 0, signed_records = 0;
  std::string reason;  // why it is not whole, or was not checked
};

struct Use {
  std::string engine;
  v1::LogRecord record;
};

class LinkageServer {
 public:
  // `packages`: the token's keys for packages and receipts, those of this server alone; gets its
  // first keys here. `storage` and `engines` must outlive the server. Goes on with the jobs that
  // were at work when it ended.
  static Result<std::unique_ptr<LinkageServer>> open(LinkageOptions options,
                                                     std::unique_ptr<keys::KeyStore> packages,
                                                     StorageService& storage,
                                                     std::vector<std::unique_ptr<Engine>> engines);
  ~LinkageServer();

  const std::vector<std::unique_ptr<Engine>>& engines() const { return engines_; }
  keys::KeyStore& packages() { return *packages_; }
  ConsentLedger& ledger() { return *ledger_; }
  Registry& registry() { return *registry_; }

  // A token that is good for one registration. Only its digest is kept.
  Result<std::string> invite(int64_t valid_s);
  Result<bool> is_invited(const std::string& invitation);

  // Error invalid_argument when it is no image.
  Result<Verdict> judge(ByteView image);

  // Seals the images and attributes and has them stored. Errors: refused, for the invitation or an
  // image that cannot be used; those of the storage server, after which the invitation is used up.
  Result<Registration> register_person(const std::string& invitation, std::string_view attributes,
                                       std::span<const Bytes> images);
  // Error not_found: no such session.
  Result<Person> person_of(const std::string& session);

  // --- What a person may ask, for itself
  // Durable at once; the enrolment follows in the background. Errors: not_found; already_exists.
  Result<Receipt> opt_in(const std::string& person, const std::string& engine,
                         const std::string& purpose, const std::string& text);
  // Erased when this returns; error unavailable when the engine does not answer: it is erased as
  // soon as it does. Error not_found: not opted in.
  Result<Receipt> opt_out(const std::string& person, const std::string& engine,
                          const std::string& purpose);
  // Known nowhere when this returns; errors as opt_out.
  Result<Receipt> delete_person(const std::string& person);
  // What engines did under this person's subjects, newest first.
  Result<std::vector<Use>> uses(const std::string& person);

  // --- What an operator may ask
  // Error not_found, as of all below.
  Result<Engine*> find_engine(const std::string& name);
  Result<Backups*> find_backups(const std::string& engine);
  Result<v1::FindLogReply> read_log(const std::string& engine, uint32_t max_records);
  // The consent ledger and every engine's log of decisions.
  std::vector<LogCheck> check_logs();

 private:
  LinkageServer(LinkageOptions options, std::unique_ptr<keys::KeyStore> packages,
                StorageService& storage, std::vector<std::unique_ptr<Engine>> engines)
      : options_(std::move(options)),
        packages_(std::move(packages)),
        storage_(storage),
        engines_(std::move(engines)) {}

  // Held while a link or a deletion is worked on, so that they take turns.
  class Turn;

  void start(Engine& engine);
  // Calls work() at once and then again and again, until the server ends.
  void repeat(std::chrono::milliseconds pause, std::function<void()> work);
  Status give_first_keys();
  Status undo_interrupted_registrations();
  // Opens the person's package for as long as it takes.
  Result<std::vector<face::Embedding>> extract(const Engine& engine, const std::string& person);
  Status enrol(Engine& engine, Link link);
  // Erases there, replaces backups that hold what is erased, and records it. A link whose enrolment
  // may still be under way is erased once more later; until then error busy.
  Result<Receipt> erase(Engine& engine, Link link);
  // Error not_found when it is finished already; busy while links are left.
  Result<Receipt> finish_deletion(const std::string& person);
  Status collect_log(Engine& engine);

  // The background, for each engine.
  void run_jobs(const std::stop_token& stop, Engine& engine);
  Status work_on(Engine& engine, const Link& seen);
  void finish_deletions();
  void wake_jobs();

  const LinkageOptions options_;
  const std::unique_ptr<keys::KeyStore> packages_;
  StorageService& storage_;
  const std::vector<std::unique_ptr<Engine>> engines_;
  std::unique_ptr<Registry> registry_;
  std::unique_ptr<ConsentLedger> ledger_;
  std::unique_ptr<face::Detector> detector_;

  std::mutex turn_mutex_;
  std::condition_variable turn_ended_;
  std::set<std::string> at_work_;  // subjects, and persons that are deleted

  std::map<std::string, std::unique_ptr<Backups>> backups_;  // by engine

  std::mutex job_mutex_;
  std::condition_variable_any job_added_;
  uint64_t jobs_added_ = 0;
  std::vector<std::jthread> threads_;  // the last: they use all of the above
};

}  // namespace bauta::linkage
