#include "services/linkage/linkage_server.h"

#include <algorithm>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "keys/envelope.h"
#include "services/linkage/package.h"

namespace bauta::linkage {
namespace {

constexpr std::string_view kTenant = "packages";
constexpr size_t kToken_bytes = 32, kId_bytes = 16;
constexpr std::chrono::milliseconds kRetryAfter(1'000), kLongestRetryAfter(30'000);
// Longer than a call to an engine may be under way after its caller is gone.
constexpr int64_t kEraseAgainAfter_ms = 40'000;
constexpr const char* kEraseAgain = "erased once; to be erased again";
constexpr uint32_t kLogRecordsAtOnce = 1'000;
constexpr uint32_t kUsesShown = 100;

std::string context_of(const std::string& person) {
  return "package " + person;
}

// Says the error on stderr unless it was the last one too.
void say_once(const Status& done, std::string& last, const std::string& what) {
  const std::string error = done.ok() ? "" : done.error().message;
  if (error != last && !error.empty()) fmt::print(stderr, "bauta: {}: {}\n", what, error);
  last = error;
}

struct WipedAtEnd {
  std::vector<face::Embedding>& embeddings;
  ~WipedAtEnd() {
    for (face::Embedding& embedding : embeddings)
      wipe({reinterpret_cast<uint8_t*>(embedding.data()), embedding.size() * sizeof(float)});
  }
};

}  // namespace

class LinkageServer::Turn {
 public:
  Turn(LinkageServer& server, std::string what) : server_(server), what_(std::move(what)) {
    std::unique_lock lock(server_.turn_mutex_);
    server_.turn_ended_.wait(lock, [&] { return !server_.at_work_.contains(what_); });
    server_.at_work_.insert(what_);
  }
  ~Turn() {
    {
      std::lock_guard lock(server_.turn_mutex_);
      server_.at_work_.erase(what_);
    }
    server_.turn_ended_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  LinkageServer& server_;
  const std::string what_;
};

Result<std::unique_ptr<LinkageServer>> LinkageServer::open(
    LinkageOptions options, std::unique_ptr<keys::KeyStore> packages, StorageService& storage,
    std::vector<std::unique_ptr<Engine>> engines) {
  BAUTA_CHECK(create_directory(options.directory, 0700));
  std::unique_ptr<LinkageServer> server(
      new LinkageServer(std::move(options), std::move(packages), storage, std::move(engines)));
  const std::filesystem::path& directory = server->options_.directory;
  BAUTA_CHECK(server->give_first_keys());
  BAUTA_TRY(server->registry_, Registry::open(directory / "registry.sqlite"));
  BAUTA_TRY(server->ledger_, ConsentLedger::open(directory / "consents.log", *server->packages_));
  BAUTA_TRY(server->detector_, face::make_detector(server->options_.detector));
  BAUTA_CHECK(server->undo_interrupted_registrations());
  for (const std::unique_ptr<Engine>& engine : server->engines_) {
    const auto galleries = [&engine = *engine]() -> Result<std::vector<std::string>> {
      BAUTA_TRY(const std::vector<v1::Gallery> found, engine.galleries());
      std::vector<std::string> names;
      for (const v1::Gallery& gallery : found) names.push_back(gallery.gallery());
      return names;
    };
    server->backups_[engine->options().name] = std::make_unique<Backups>(
        engine->options().name, galleries, engine->collection(), storage, server->options_.backups);
  }
  for (const std::unique_ptr<Engine>& engine : server->engines_) server->start(*engine);
  return server;
}

void LinkageServer::start(Engine& engine) {
  const std::string& name = engine.options().name;
  const std::chrono::milliseconds interval(options_.collect_interval_ms);
  threads_.emplace_back([this, &engine](const std::stop_token& stop) { run_jobs(stop, engine); });
  repeat(interval, [this, &engine, last = std::string()]() mutable {
    say_once(collect_log(engine), last,
             "cannot collect the log of engine " + engine.options().name);
  });
  repeat(kRetryAfter, [backups = backups_.at(name).get()] { backups->back_up_if_due(now_ms()); });
  if (engine.response_times().measured())
    repeat(interval, [&engine, last = std::string()]() mutable {
      say_once(engine.response_times().sample(), last,
               "cannot read the response times of engine " + engine.options().name);
    });
}

void LinkageServer::repeat(std::chrono::milliseconds pause, std::function<void()> work) {
  threads_.emplace_back([pause, work = std::move(work)](const std::stop_token& stop) {
    std::condition_variable_any never;
    std::mutex mutex;
    while (!stop.stop_requested()) {
      work();
      std::unique_lock lock(mutex);
      never.wait_for(lock, stop, pause, [] { return false; });
    }
  });
}

LinkageServer::~LinkageServer() {
  for (std::jthread& thread : threads_) thread.request_stop();
}

Status LinkageServer::give_first_keys() {
  const Result<keys::KeyRecord> active = packages_->active(kTenant);
  if (!active.ok() && active.error().code != ErrorCode::not_found) return active.error();
  if (!active.ok()) {
    BAUTA_TRY(const keys::KeyRecord created, packages_->create(kTenant));
    BAUTA_CHECK(packages_->activate(created.id));
  }
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, packages_->signing_keys());
  if (signing_keys.empty()) BAUTA_CHECK(packages_->create_signing_key());
  return {};
}

Status LinkageServer::undo_interrupted_registrations() {
  BAUTA_TRY(const std::vector<Person> persons, registry_->persons(PersonState::registering));
  for (const Person& person : persons) {
    v1::DeletePackageRequest request;
    request.set_id(person.id);
    BAUTA_CHECK(storage_.delete_package(request));
    BAUTA_CHECK(registry_->remove_person(person.id));
  }
  return {};
}

Result<Engine*> LinkageServer::find_engine(const std::string& name) {
  for (const std::unique_ptr<Engine>& engine : engines_)
    if (engine->options().name == name) return engine.get();
  return make_error(ErrorCode::not_found, "there is no engine {}", name);
}

// --- Registration

Result<std::string> LinkageServer::invite(int64_t valid_s) {
  return new_invitation(*registry_, valid_s);
}

Result<bool> LinkageServer::is_invited(const std::string& invitation) {
  return registry_->is_open(sha256(as_bytes(invitation)), now_ms());
}

Result<Verdict> LinkageServer::judge(ByteView image) {
  BAUTA_TRY(face::FaceOutcome outcome, face::find_face(image, *detector_));
  if (const face::Refusal* const refusal = outcome.refusal(); refusal != nullptr)
    return Verdict{false, refusal->message};
  wipe(std::get<face::FoundFace>(outcome.outcome).aligned.image.rgb);
  return Verdict{true, ""};
}

Result<Registration> LinkageServer::register_person(const std::string& invitation,
                                                    std::string_view attributes,
                                                    std::span<const Bytes> images) {
  for (size_t i = 0; i < images.size(); ++i) {
    BAUTA_TRY(const Verdict verdict, judge(images[i]));
    if (!verdict.usable)
      return make_error(ErrorCode::refused, "picture {} cannot be used: {}", i + 1, verdict.reason);
  }
  BAUTA_TRY(const SecretBytes package, make_package(attributes, images));
  BAUTA_TRY(const keys::KeyRecord key, packages_->active(kTenant));
  Registration registration;
  registration.person = random_hex(kId_bytes);
  registration.session = random_hex(kToken_bytes);
  BAUTA_TRY(const Bytes sealed,
            keys::seal(*packages_, key.id, context_of(registration.person), package.span()));
  BAUTA_CHECK(registry_->begin_registration(sha256(as_bytes(invitation)), registration.person,
                                            sha256(as_bytes(registration.session)), now_ms()));
  v1::PutPackageRequest request;
  request.set_id(registration.person);
  request.set_sealed(sealed.data(), sealed.size());
  BAUTA_CHECK(storage_.put_package(request));  // what is left of a failure goes at the next start
  BAUTA_TRY(registration.receipt,
            ledger_->append({"registered", registration.person, "", "", "registration 1"}));
  BAUTA_CHECK(registry_->finish_registration(registration.person));
  return registration;
}

Result<Person> LinkageServer::person_of(const std::string& session) {
  BAUTA_TRY(const std::optional<Person> person, registry_->find_session(sha256(as_bytes(session))));
  if (!person || person->state == PersonState::registering)
    return make_error(ErrorCode::not_found, "nobody is registered under this session");
  return *person;
}

// --- Consent

Result<Receipt> LinkageServer::opt_in(const std::string& person, const std::string& engine,
                                      const std::string& purpose, const std::string& text) {
  BAUTA_TRY(const Engine* const asked, find_engine(engine));
  if (!asked->has_purpose(purpose))
    return make_error(ErrorCode::not_found, "engine {} does not serve the purpose {}", engine,
                      purpose);
  const Turn turn(*this, person);
  BAUTA_TRY(const std::optional<Link> known, registry_->find_link(person, engine, purpose));
  if (known && known->state != LinkState::failed)
    return make_error(ErrorCode::already_exists, "you have opted in to {} for {} already", engine,
                      purpose);
  // The consent comes before what it allows, and an enrolment is never without one.
  BAUTA_TRY(Receipt receipt, ledger_->append({"opted_in", person, engine, purpose, text}));
  BAUTA_CHECK(registry_->add_link(
      {person, engine, purpose, random_hex(kId_bytes), LinkState::enrolling, false, "", 0}));
  wake_jobs();
  return receipt;
}

Result<Receipt> LinkageServer::opt_out(const std::string& person, const std::string& engine,
                                       const std::string& purpose) {
  BAUTA_TRY(Engine* const asked, find_engine(engine));
  BAUTA_TRY(std::optional<Link> link, registry_->find_link(person, engine, purpose));
  if (!link)
    return make_error(ErrorCode::not_found, "you have not opted in to {} for {}", engine, purpose);
  const Turn turn(*this, link->subject);
  BAUTA_TRY(link, registry_->find_link(person, engine, purpose));
  if (!link)
    return make_error(ErrorCode::not_found, "you have opted out of {} for {} already", engine,
                      purpose);
  if (link->state != LinkState::erasing) {
    link->state = LinkState::erasing;
    BAUTA_CHECK(registry_->set_link(*link));
  }
  Result<Receipt> erased = erase(*asked, *link);
  if (!erased.ok()) wake_jobs();
  return erased;
}

Result<Receipt> LinkageServer::delete_person(const std::string& person) {
  {
    const Turn turn(*this, person);
    BAUTA_CHECK(ledger_->append({"deletion_ordered", person, "", "", ""}));
    BAUTA_CHECK(registry_->set_deleting(person));
  }
  BAUTA_TRY(const std::vector<Link> links, registry_->links_of(person));
  Status all_erased;
  for (const Link& link : links) {
    BAUTA_TRY(Engine* const engine, find_engine(link.engine));
    if (const Status erased = work_on(*engine, link); !erased.ok()) all_erased = erased;
  }
  if (!all_erased.ok()) return all_erased.error();
  return finish_deletion(person);
}

Result<Receipt> LinkageServer::finish_deletion(const std::string& person) {
  const Turn turn(*this, person);
  BAUTA_TRY(const std::vector<Link> links, registry_->links_of(person));
  if (!links.empty())
    return make_error(ErrorCode::busy, "the erasure at {} is still under way", links[0].engine);
  v1::DeletePackageRequest request;
  request.set_id(person);
  BAUTA_CHECK(storage_.delete_package(request));
  BAUTA_TRY(Receipt receipt, ledger_->append({"deleted", person, "", "", ""}));
  BAUTA_CHECK(registry_->remove_person(person));
  return receipt;
}

Result<std::vector<Use>> LinkageServer::uses(const std::string& person) {
  BAUTA_TRY(const std::vector<Link> links, registry_->links_of(person));
  std::vector<Use> uses;
  for (const Link& link : links) {
    v1::FindLogRequest request;
    request.set_engine(link.engine);
    request.set_subject(link.subject);
    request.set_max_records(kUsesShown);
    BAUTA_TRY(const v1::FindLogReply reply, storage_.find_log(request));
    for (const v1::LogRecord& record : reply.records()) uses.push_back({link.engine, record});
  }
  std::ranges::stable_sort(uses, std::greater(),
                           [](const Use& use) { return use.record.time_ms(); });
  return uses;
}

// --- Jobs

Result<std::vector<face::Embedding>> LinkageServer::extract(const Engine& engine,
                                                            const std::string& person) {
  v1::GetPackageRequest request;
  request.set_id(person);
  BAUTA_TRY(const v1::Package sealed, storage_.get_package(request));
  BAUTA_TRY(const SecretBytes package,
            keys::open_sealed(*packages_, context_of(person), as_bytes(sealed.sealed())));
  return engine.extract(package.span());
}

Status LinkageServer::enrol(Engine& engine, Link link) {
  BAUTA_CHECK(engine.prepare(link.purpose));
  Result<std::vector<face::Embedding>> embeddings = extract(engine, link.person);
  if (!embeddings.ok() && embeddings.error().code == ErrorCode::refused) {
    link.state = LinkState::failed;
    link.note = embeddings.error().message;
    BAUTA_CHECK(registry_->set_link(link));
    return {};
  }
  if (!embeddings.ok()) return embeddings.error();
  const WipedAtEnd end{*embeddings};
  link.uncertain = true;
  BAUTA_CHECK(registry_->set_link(link));
  BAUTA_CHECK(engine.enrol(link.purpose, link.subject, *embeddings));
  link.uncertain = false;
  link.state = LinkState::enrolled;
  BAUTA_CHECK(registry_->set_link(link));
  return {};
}

Result<Receipt> LinkageServer::erase(Engine& engine, Link link) {
  if (link.note == kEraseAgain && now_ms() < link.changed_at_ms + kEraseAgainAfter_ms)
    return make_error(ErrorCode::busy, "the erasure at {} is still under way", link.engine);
  BAUTA_CHECK(engine.erase(link.purpose, link.subject));
  if (link.uncertain) {
    link.uncertain = false;
    link.note = kEraseAgain;
    BAUTA_CHECK(registry_->set_link(link));
    return make_error(ErrorCode::busy, "the erasure at {} is still under way", link.engine);
  }
  BAUTA_CHECK(backups_.at(link.engine)->replace(link.purpose));
  BAUTA_TRY(Receipt receipt,
            ledger_->append({"opted_out", link.person, link.engine, link.purpose, ""}));
  BAUTA_CHECK(registry_->remove_link(link));
  return receipt;
}

Status LinkageServer::work_on(Engine& engine, const Link& seen) {
  const Turn turn(*this, seen.subject);
  BAUTA_TRY(const std::optional<Link> link,
            registry_->find_link(seen.person, seen.engine, seen.purpose));
  if (!link || link->subject != seen.subject) return {};
  if (link->state == LinkState::enrolling) return enrol(engine, *link);
  if (link->state == LinkState::erasing) BAUTA_CHECK(erase(engine, *link));
  return {};
}

void LinkageServer::wake_jobs() {
  {
    std::lock_guard lock(job_mutex_);
    ++jobs_added_;
  }
  job_added_.notify_all();
}

void LinkageServer::finish_deletions() {
  const Result<std::vector<Person>> persons = registry_->persons(PersonState::deleting);
  if (!persons.ok()) return;
  for (const Person& person : *persons) (void)finish_deletion(person.id).ok();
}

void LinkageServer::run_jobs(const std::stop_token& stop, Engine& engine) {
  struct Retry {
    std::chrono::steady_clock::time_point at;
    std::chrono::milliseconds pause{};
  };
  std::map<std::string, Retry> retries;  // by subject
  uint64_t jobs_seen = 0;
  while (!stop.stop_requested()) {
    const Result<std::vector<Link>> links = registry_->unfinished_links();
    bool erased = false;
    for (const Link& link : links.ok() ? *links : std::vector<Link>()) {
      if (link.engine != engine.options().name || stop.stop_requested()) continue;
      const auto now = std::chrono::steady_clock::now();
      if (const auto retry = retries.find(link.subject);
          retry != retries.end() && now < retry->second.at)
        continue;
      const Status done = work_on(engine, link);
      if (done.ok()) {
        retries.erase(link.subject);
        erased |= link.state == LinkState::erasing;
        continue;
      }
      Retry& retry = retries[link.subject];
      retry.pause = std::clamp(2 * retry.pause, kRetryAfter, kLongestRetryAfter);
      retry.at = std::chrono::steady_clock::now() + retry.pause;
      fmt::print(stderr, "bauta: a job at engine {} is tried again: {}\n", engine.options().name,
                 done.error().message);
    }
    if (erased || jobs_seen == 0) finish_deletions();
    std::unique_lock lock(job_mutex_);
    job_added_.wait_for(lock, stop, kRetryAfter, [&] { return jobs_added_ > jobs_seen; });
    jobs_seen = std::max<uint64_t>(jobs_added_, 1);
  }
}

// --- Logs and backups

Status LinkageServer::collect_log(Engine& engine) {
  v1::AppendLogRequest append;
  append.set_engine(engine.options().name);
  BAUTA_TRY(v1::AppendLogReply held, storage_.append_log(append));
  while (true) {
    v1::ReadLogRequest read;
    read.set_after(held.last());
    read.set_max_records(kLogRecordsAtOnce);
    BAUTA_TRY(v1::ReadLogReply reply, engine.collection().read_log(read));
    if (reply.records().empty()) return {};
    *append.mutable_records() = std::move(*reply.mutable_records());
    BAUTA_TRY(held, storage_.append_log(append));
  }
}

Result<Backups*> LinkageServer::find_backups(const std::string& engine) {
  BAUTA_CHECK(find_engine(engine));
  return backups_.at(engine).get();
}

Result<v1::FindLogReply> LinkageServer::read_log(const std::string& engine, uint32_t max_records) {
  BAUTA_CHECK(find_engine(engine));
  v1::FindLogRequest request;
  request.set_engine(engine);
  request.set_max_records(max_records);
  return storage_.find_log(request);
}

std::vector<LogCheck> LinkageServer::check_logs() {
  const auto judge = [](LogCheck check, const Status& status) {
    check.checked = status.ok() || status.error().code == ErrorCode::corrupt;
    check.whole = status.ok();
    if (!status.ok()) check.reason = status.error().message;
    return check;
  };
  LogCheck consents;
  consents.records = consents.signed_records = ledger_->records();
  std::vector<LogCheck> checks{judge(consents, ledger_->verify())};
  for (const std::unique_ptr<Engine>& engine : engines_) {
    const Result<v1::CheckDecisionsReply> reply = engine->check_decisions();
    LogCheck check;
    check.engine = engine->options().name;
    if (reply.ok()) check.records = reply->records();
    if (reply.ok()) check.signed_records = reply->signed_records();
    checks.push_back(judge(check, reply.ok() ? Status() : Status(reply.error())));
  }
  return checks;
}

}  // namespace bauta::linkage
