#include <fmt/chrono.h>

#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"
#include "base/file.h"
#include "keys/backup.h"
#include "keys/embedded_token.h"
#include "services/key/edge_keys.h"

namespace bauta::cli {
namespace {

constexpr size_t kMaxPublicKey_bytes = 4096;

std::string date(int64_t time_s) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", fmt::gmtime(static_cast<std::time_t>(time_s)));
}

// When the key came into its present state, and how that is said.
std::string since(const keys::KeyRecord& key) {
  switch (key.state()) {
    case keys::KeyState::created:
      return date(key.created_at_s);
    case keys::KeyState::active:
      return date(key.activated_at_s);
    case keys::KeyState::deactivated:
      return date(key.deactivated_at_s);
    case keys::KeyState::suspended:
      return date(key.suspended_at_s);
    case keys::KeyState::destroying:
      return date(key.destruction_ordered_at_s);
    case keys::KeyState::destroyed:
      return date(key.destroyed_at_s);
  }
  return {};
}

Json to_json(const keys::KeyRecord& key) {
  Json json = {{"key_id", to_hex(key.id)},        {"tenant", key.tenant},
               {"generation", key.generation},    {"state", keys::key_state_name(key.state())},
               {"evaluation", key.evaluation},    {"candidates", key.candidates},
               {"created_at_s", key.created_at_s}};
  const std::pair<const char*, int64_t> dates[] = {
      {"activated_at_s", key.activated_at_s},
      {"deactivated_at_s", key.deactivated_at_s},
      {"suspended_at_s", key.suspended_at_s},
      {"destruction_ordered_at_s", key.destruction_ordered_at_s},
      {"destroyed_at_s", key.destroyed_at_s}};
  for (const auto& [name, time_s] : dates)
    if (time_s != 0) json[name] = time_s;
  json["copies"] = key.copies;
  return json;
}

std::string name_of(const keys::KeyRecord& key) {
  return fmt::format("key {} of tenant {}", key.generation, key.tenant);
}

Result<keys::KeyRecord> find(keys::KeyStore& store, const KeyChoice& choice) {
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, store.list());
  const keys::KeyRecord* found = nullptr;
  for (const keys::KeyRecord& record : records)
    if (record.tenant == choice.tenant &&
        (choice.generation == 0 || record.generation == choice.generation))
      found = &record;  // the newest, unless one is named
  if (found == nullptr)
    return make_error(ErrorCode::not_found,
                      "tenant '{}' has no such key; 'bauta keys status' lists them", choice.tenant);
  return *found;
}

// Changes the state of a key and records that it did.
Result<Report> change(const CommonOptions& common, const KeyChoice& choice,
                      Status (keys::KeyStore::*change)(const keys::KeyId&), key::LogEvent event,
                      const char* what) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  keys::KeyStore& store = deployment->key().store();
  BAUTA_TRY(const keys::KeyRecord key, find(store, choice));
  BAUTA_CHECK((store.*change)(key.id));
  BAUTA_CHECK(deployment->key().ledger().changed(event, key.id));
  BAUTA_TRY(const keys::KeyRecord changed, store.find(key.id));
  return Report{to_json(changed), fmt::format("{} is {}\n", name_of(key), what)};
}

// An open embedded token, without the services over it.
Result<std::unique_ptr<keys::Token>> open_token(const CommonOptions& common) {
  return keys::Token::open(keys::embedded_token_config(common.token));
}

}  // namespace

Result<Report> keys_init(const CommonOptions& common, const KeysInitOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment,
            Deployment::initialise(common, options.tenant, options.evaluation, options.use));
  BAUTA_TRY(const keys::KeyRecord key, deployment->key().store().active(options.tenant));
  if (key.evaluation != options.evaluation)
    return make_error(ErrorCode::already_exists,
                      "tenant {} has the active key {}, which was {}created for evaluation; choose "
                      "another tenant",
                      key.tenant, to_hex(key.id), key.evaluation ? "" : "not ");
  return Report{to_json(key),
                fmt::format("tenant {}: key {} (generation {}) is active in the token {}\n",
                            key.tenant, to_hex(key.id), key.generation, common.token.string())};
}

Result<Report> keys_redeliver(const CommonOptions& common, const RedeliverOptions& options) {
  BAUTA_TRY(const size_t deliveries,
            key::forget_deliveries(common.data / "key" / "delivered", options.edge));
  return Report{
      {{"edge", options.edge}, {"deliveries_forgotten", deliveries}},
      fmt::format("edge {} may have its {} key(s) once more\n", options.edge, deliveries)};
}

Result<Report> keys_locks(const CommonOptions& common) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  Report report{Json::array(), ""};
  for (const key::Lock& lock : deployment->key().ledger().locks()) {
    Json json = {{"gallery", lock.gallery}, {"since_ms", lock.since_ms}};
    if (lock.edge_id.empty())
      json["person"] = to_hex(lock.person);
    else
      json["edge"] = lock.edge_id;
    report.json.push_back(json);
    report.text +=
        fmt::format("{} of {}\n",
                    lock.edge_id.empty() ? "person " + to_hex(lock.person) : "edge " + lock.edge_id,
                    lock.gallery.empty() ? "every gallery" : "gallery " + lock.gallery);
  }
  if (report.text.empty()) report.text = "nobody is locked\n";
  return report;
}

Result<Report> keys_unlock(const CommonOptions& common, const UnlockOptions& options) {
  key::Lock lock;
  lock.gallery = options.gallery;
  lock.edge_id = options.edge;
  if (!options.subject.empty()) {
    const Digest digest = subject_digest(options.gallery, options.subject);
    lock.person = person_of(digest);
  } else if (options.edge.empty()) {
    const Result<Bytes> person = from_hex(options.person);
    if (!person.ok() || person->size() != lock.person.size())
      return make_error(ErrorCode::invalid_argument,
                        "say who is to be unlocked by --edge, --subject, or --person and the {} "
                        "hexadecimal digits that 'bauta keys locks' shows",
                        2 * lock.person.size());
    std::ranges::copy(*person, lock.person.begin());
  }
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_CHECK(deployment->key().ledger().clear(lock));
  return Report{{{"gallery", options.gallery}, {"unlocked", true}},
                "unlocked; what led to the lock counts no more\n"};
}

Result<Report> edges_revoke(const CommonOptions& common, const EdgesRevokeOptions& options) {
  const std::filesystem::path catalogue_path = common.data / "auth" / "catalogue.sqlite";
  std::error_code ignored;
  const bool key = std::filesystem::exists(common.data / "key", ignored);
  const bool auth = std::filesystem::exists(catalogue_path, ignored);
  if (!key && !auth)
    return make_error(ErrorCode::not_found,
                      "{} belongs to no authentication server and no key service; name their data "
                      "directory with --data",
                      common.data.string());
  BAUTA_CHECK(store::check_name("edge", options.edge));
  if (auth) {
    BAUTA_TRY(store::Catalogue catalogue, store::Catalogue::open(catalogue_path));
    BAUTA_CHECK(catalogue.revoke_edge(options.edge));
  }
  if (key) {
    BAUTA_CHECK(key::refuse_deliveries(common.data / "key" / "delivered", options.edge));
    BAUTA_TRY(const std::unique_ptr<key::KeyServer> server, open_key_service(common));
    BAUTA_CHECK(server->grant_book().revoke(options.edge));
  }
  const auto say = [](bool done) { return done ? "refuses it from now on" : "is not here"; };
  return Report{
      {{"edge", options.edge}, {"server_refuses", auth}, {"key_service_refuses", key}},
      fmt::format("edge {} is revoked: the authentication server {}, the key service {}\n",
                  options.edge, say(auth), say(key))};
}

Result<Report> keys_status(const CommonOptions& common) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, deployment->key().store().list());
  key::Ledger& ledger = deployment->key().ledger();
  Report report;
  report.json = Json::array();
  for (const keys::KeyRecord& key : records) {
    const uint64_t decisions = ledger.decisions_of(key.id);
    const uint64_t budget =
        key.decision_budget != 0 ? key.decision_budget : ledger.policy().decisions_per_key;
    report.json.push_back(to_json(key));
    report.json.back()["decisions"] = decisions;
    report.json.back()["decision_budget"] = key.evaluation ? Json() : Json(budget);
    report.text +=
        fmt::format("{:<20} {:>4}  {:<12} since {}  {}  {} decisions of {}{}\n", key.tenant,
                    key.generation, keys::key_state_name(key.state()), since(key), to_hex(key.id),
                    decisions, key.evaluation ? "any number" : std::to_string(budget),
                    key.evaluation ? "  (evaluation)" : "");
  }
  return report;
}

// The galleries under one of the tenant's keys that `is_meant`.
Result<std::vector<std::string>> galleries_under(
    Deployment& deployment, const std::string& tenant,
    const std::function<bool(const keys::KeyId&)>& is_meant) {
  BAUTA_TRY(const v1::ListGalleriesReply galleries, deployment.auth().list_galleries({}));
  std::vector<std::string> names;
  for (const v1::Gallery& gallery : galleries.galleries()) {
    BAUTA_TRY(const keys::KeyId id, key::parse_key_id(gallery.key_id()));
    const Result<keys::KeyRecord> key = deployment.key().store().find(id);
    if (key.ok() && key->tenant == tenant && is_meant(id)) names.push_back(gallery.gallery());
  }
  return names;
}

Result<Report> keys_rotate(const CommonOptions& common, const KeysRotateOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  keys::KeyStore& store = deployment->key().store();
  BAUTA_TRY(const keys::KeyRecord old, find(store, {options.tenant}));
  BAUTA_TRY(const keys::KeyRecord key, deployment->key().rotate(old, options.decision_budget));
  BAUTA_TRY(const std::vector<std::string> older,
            galleries_under(*deployment, options.tenant,
                            [&](const keys::KeyId& id) { return id != key.id; }));
  Report report{to_json(key),
                fmt::format("{} is active: new galleries are made under it\n", name_of(key))};
  report.json["galleries_under_older_keys"] = older;
  if (older.empty()) return report;
  report.text += "these stay under their older keys until you renew them:\n";
  for (const std::string& gallery : older)
    report.text += fmt::format("  bauta gallery renew {}\n", gallery);
  report.text +=
      fmt::format("then end the key before: bauta keys destroy --tenant {} --generation {}\n",
                  old.tenant, old.generation);
  return report;
}

Result<Report> keys_suspend(const CommonOptions& common, const KeyChoice& choice) {
  return change(common, choice, &keys::KeyStore::suspend, key::LogEvent::key_suspended,
                "suspended: nothing made under it is opened until 'bauta keys resume'");
}

Result<Report> keys_resume(const CommonOptions& common, const KeyChoice& choice) {
  return change(common, choice, &keys::KeyStore::resume, key::LogEvent::key_resumed,
                "in use again");
}

Result<Report> keys_destroy(const CommonOptions& common, const KeysDestroyOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  keys::KeyStore& store = deployment->key().store();
  BAUTA_TRY(const keys::KeyRecord key, find(store, options.choice));
  if (!options.yes) {
    BAUTA_TRY(const std::vector<std::string> galleries,
              galleries_under(*deployment, key.tenant,
                              [&](const keys::KeyId& id) { return id == key.id; }));
    std::string under = galleries.empty() ? "no gallery is under it" : "these galleries are:";
    for (const std::string& gallery : galleries) under += " " + gallery;
    return make_error(ErrorCode::refused,
                      "destroying {} makes every gallery and package under it unreadable for "
                      "ever ({}); repeat with --yes",
                      name_of(key), under);
  }
  const Status gone = store.destroy(key.id);
  // Its switching keys too, even if a copy is out of reach: one to a newer key would bring it back.
  BAUTA_CHECK(deployment->auth().forget_key(to_hex(key.id)));
  BAUTA_CHECK(deployment->key().public_keys().remove(key.id));
  BAUTA_CHECK(gone);
  BAUTA_CHECK(deployment->key().ledger().changed(key::LogEvent::key_destroyed, key.id));
  BAUTA_TRY(const keys::KeyRecord destroyed, store.find(key.id));
  return Report{
      to_json(destroyed),
      fmt::format("{} is destroyed: nothing made under it can be opened again\n", name_of(key))};
}

// --- Backup to a second token

Result<Report> keys_backup_key(const CommonOptions& common) {
  BAUTA_CHECK(keys::create_embedded_token(common.token));
  BAUTA_TRY(const std::unique_ptr<keys::Token> token, open_token(common));
  BAUTA_TRY(const Bytes public_key, token->create_backup_key());
  return Report{{{"public_key", to_hex(public_key)}}, to_hex(public_key) + "\n"};
}

Result<Report> keys_backup(const CommonOptions& common, const KeysBackupOptions& options) {
  if (!options.backup_key.empty()) {
    BAUTA_TRY(const Bytes text, read_file(options.backup_key, kMaxPublicKey_bytes));
    std::string_view hex = as_text(text);
    hex = hex.substr(0, hex.find_last_not_of(" \r\n") + 1);
    BAUTA_TRY(const Bytes public_key, from_hex(hex));
    BAUTA_CHECK(keys::trust_backup_key(keys::embedded_token_config(common.token),
                                       keys::embedded_officer_pin(common.token), public_key));
  }
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  keys::KeyStore& store = deployment->key().store();
  BAUTA_TRY(const size_t copies, store.back_up(options.directory));
  BAUTA_CHECK(deployment->key().ledger().changed(key::LogEvent::keys_backed_up, {}));
  BAUTA_TRY(const std::vector<keys::SigningKey> signers, store.signing_keys());
  const std::string signer = to_hex(signers.back().public_key);
  return Report{{{"copies", copies}, {"signer", signer}},
                fmt::format("{} keys are backed up in {}\nrestoring them needs this, which must "
                            "not be kept with them:\n{}\n",
                            copies, options.directory.string(), signer)};
}

Result<Report> keys_restore(const CommonOptions& common, const KeysRestoreOptions& options) {
  BAUTA_TRY(const Bytes signer, from_hex(options.signer));
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const keys::Restoration found,
            deployment->key().store().restore(options.directory, signer));
  for (const keys::KeyId& id : found.restored)
    BAUTA_CHECK(deployment->key().ledger().changed(key::LogEvent::key_restored, id));
  return Report{{{"restored", found.restored.size()},
                 {"present", found.present},
                 {"destroyed", found.destroyed}},
                fmt::format("{} keys are restored; {} were there, {} were destroyed and stay so\n",
                            found.restored.size(), found.present, found.destroyed)};
}

Result<Report> audit_verify(const CommonOptions& common) {
  BAUTA_TRY(std::unique_ptr<keys::Token> token, open_token(common));
  BAUTA_TRY(const std::unique_ptr<keys::KeyStore> store,
            keys::KeyStore::open(std::move(token), common.data / "key"));
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, store->signing_keys());
  BAUTA_TRY(const key::LogVerification log, key::verify_log(common.data / "key", signing_keys));
  BAUTA_TRY(store::Catalogue catalogue,
            store::Catalogue::open(common.data / "auth" / "catalogue.sqlite"));
  BAUTA_TRY(const store::AuditHead server, catalogue.verify_audit_chain());
  return Report{
      {{"records", log.head.sequence},
       {"head", to_hex(log.head.digest)},
       {"signed_records", log.signed_records},
       {"signing_key", to_hex(log.signing_key)},
       {"decisions", log.decisions},
       {"refused", log.refused},
       {"server_records", server.sequence},
       {"server_head", to_hex(server.digest)}},
      fmt::format(
          "the key service's log is whole: {} records, {} decisions, {} refusals; signed by "
          "the token up to record {}\n  head {}\nthe authentication server's log is whole: "
          "{} records\n  head {}\nkeep both heads elsewhere: they show later that nothing "
          "was cut off\n",
          log.head.sequence, log.decisions, log.refused, log.signed_records,
          to_hex(log.head.digest), server.sequence, to_hex(server.digest))};
}

}  // namespace bauta::cli
