#include "services/key/ledger.h"

#include <algorithm>
#include <ctime>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kTicketValidity_ms = 5 * 60'000;
constexpr int64_t kClockSkew_ms = 60'000;
constexpr int64_t kMinute_ms = 60'000;
// A charged request that has no outcome after this time will have none.
constexpr int64_t kAbandoned_ms = 30'000;
constexpr size_t kMaxPolicy_bytes = 64 << 10;

bool is_crime(LogNote note) {
  return note == LogNote::implausible || note == LogNote::no_template ||
         note == LogNote::bad_ticket || note == LogNote::spent_ticket || note == LogNote::crowd;
}

// Whether an answer says something of how near a probe came to a person.
bool is_about_a_person(LogNote note) {
  return !is_crime(note) && note != LogNote::no_length && note != LogNote::failed;
}

bool is_decision(LogCharge charge) {
  return charge == LogCharge::identification || charge == LogCharge::verification;
}

TicketNonce nonce_of(const v1::Ticket& ticket) {
  TicketNonce nonce{};
  if (ticket.nonce().size() == nonce.size())
    std::copy(ticket.nonce().begin(), ticket.nonce().end(), nonce.begin());
  return nonce;
}

LogCharge charge_of(TicketKind kind) {
  switch (kind) {
    case TicketKind::identification:
      return LogCharge::identification;
    case TicketKind::verification:
      return LogCharge::verification;
    case TicketKind::enrolment:
      return LogCharge::enrolment;
    case TicketKind::contract:
      break;
  }
  return LogCharge::none;
}

LogEvent event_of(TicketKind kind) {
  switch (kind) {
    case TicketKind::identification:
      return LogEvent::identification;
    case TicketKind::verification:
      return LogEvent::verification;
    case TicketKind::enrolment:
      return LogEvent::admission;
    case TicketKind::contract:
      break;
  }
  return LogEvent::contract_registered;
}

LogEntry entry_of(const Applicant& applicant, LogEvent event, LogOutcome outcome, LogNote note) {
  LogEntry entry;
  entry.event = event;
  entry.outcome = outcome;
  entry.note = note;
  entry.key = applicant.key.id;
  entry.nonce = nonce_of(applicant.ticket);
  entry.gallery = applicant.scope.gallery;
  entry.edge_id = applicant.scope.edge_id;
  entry.person = person_of(applicant.scope.subject);
  return entry;
}

// The entry of a request whose ticket proves nothing spends none.
LogEntry without_ticket(LogEntry entry) {
  entry.nonce = {};
  return entry;
}

Error locked_person(const std::string& gallery, int64_t since_ms) {
  return make_error(ErrorCode::refused,
                    "a person of gallery {} is locked since {:%Y-%m-%d %H:%M:%S} UTC: too many "
                    "answers came close to the threshold; enrol that person with a better picture, "
                    "then whoever holds the keys clears the lock by 'bauta keys unlock'",
                    gallery, fmt::gmtime(static_cast<time_t>(since_ms / 1000)));
}

template <typename Number>
bool read_number(const Json& json, const char* name, Number& value) {
  if (!json.contains(name)) return true;
  if (!json[name].is_number() || json[name].get<double>() < 0 || json[name].get<double>() > 4e9)
    return false;
  value = json[name].get<Number>();
  return true;
}

}  // namespace

Result<Policy> read_policy(const fs::path& directory) {
  Policy policy;
  const fs::path path = directory / "policy.json";
  const Result<Bytes> bytes = read_file(path, kMaxPolicy_bytes);
  if (!bytes.ok() && bytes.error().code == ErrorCode::not_found) return policy;
  if (!bytes.ok()) return bytes.error();
  const Json json = Json::parse(as_text(*bytes), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !read_number(json, "decisions_per_key", policy.decisions_per_key) ||
      !read_number(json, "bits_per_key", policy.bits_per_key) ||
      !read_number(json, "decisions_per_minute", policy.decisions_per_minute) ||
      !read_number(json, "unmeasured_per_minute", policy.unmeasured_per_minute) ||
      !read_number(json, "near_margin", policy.near_margin) ||
      !read_number(json, "proof_score", policy.proof_score) ||
      !read_number(json, "near_per_person", policy.near_per_person) ||
      !read_number(json, "unproven_per_person", policy.unproven_per_person) ||
      !read_number(json, "crafted_requests", policy.crafted_requests))
    return make_error(ErrorCode::corrupt,
                      "{} should be a JSON object of numbers; docs/operations/keys.md names them",
                      path.string());
  return policy;
}

Result<std::unique_ptr<Ledger>> Ledger::open(const fs::path& directory,
                                             std::span<const keys::SigningKey> signing_keys) {
  BAUTA_TRY(const Policy policy, read_policy(directory));
  std::unique_ptr<Ledger> ledger(new Ledger(policy));
  const auto apply = [target = ledger.get()](const LogRecord& record) { target->apply(record); };
  BAUTA_TRY(ledger->log_, DecisionLog::open(directory, apply, signing_keys));
  return ledger;
}

double KeyUsage::share() const {
  const auto part = [](uint64_t used, uint64_t budget) {
    return budget == 0 ? 1.0 : static_cast<double>(used) / static_cast<double>(budget);
  };
  return std::max(part(decisions, decision_budget), part(bits, bit_budget));
}

// --- What the log says

void Ledger::forget_old_tickets(int64_t time_ms) {
  // A ticket is good for its validity after an issue that may lie in our future by the skew.
  const int64_t lasting = kTicketValidity_ms + 2 * kClockSkew_ms;
  while (!spent_at_.empty() && spent_at_.front().first + lasting < time_ms) {
    spent_.erase(spent_at_.front().second);
    spent_at_.pop_front();
  }
}

void Ledger::apply(const LogRecord& record) {
  const LogEntry& entry = record.entry;
  if (is_of_grants(entry.event)) {
    grants_.number = std::max(grants_.number, GrantRecord::unpack(entry.key).number);
    if (entry.event != LogEvent::grant_taken) grants_.edges.insert(entry.edge_id);
    return;
  }
  if (entry.nonce != TicketNonce{} && spent_.insert(entry.nonce).second)
    spent_at_.emplace_back(record.time_ms, entry.nonce);
  forget_old_tickets(record.time_ms);
  switch (entry.event) {
    case LogEvent::charged:
      return apply_charge(record);
    case LogEvent::identification:
    case LogEvent::verification:
    case LogEvent::admission:
      return apply_outcome(record);
    case LogEvent::subject_named:
      count(persons_[{entry.gallery, entry.person}].by_edge[entry.edge_id], entry.note);
      return;
    case LogEvent::contract_registered:
      if (entry.outcome == LogOutcome::accepted)
        contracts_[entry.gallery] = entry.key;
      else if (is_crime(entry.note))
        ++clients_[{entry.edge_id, entry.gallery}].crimes;
      return;
    case LogEvent::person_locked:
      persons_[{entry.gallery, entry.person}].locked_since_ms = record.time_ms;
      return set_locked(entry.gallery, entry.person, true);
    case LogEvent::edge_locked:
      clients_[{entry.edge_id, entry.gallery}].locked_since_ms = record.time_ms;
      return;
    case LogEvent::key_rotated:
      rotated_at_ms_[entry.gallery] = record.time_ms;
      return;
    case LogEvent::lock_cleared:
      if (!entry.edge_id.empty()) {
        clients_.erase({entry.edge_id, entry.gallery});
        return;
      }
      persons_.erase({entry.gallery, entry.person});
      return set_locked(entry.gallery, entry.person, false);
    default:
      return;
  }
}

void Ledger::apply_charge(const LogRecord& record) {
  const LogEntry& entry = record.entry;
  pending_[entry.nonce] = {record.time_ms, entry};
  Used& used = used_[entry.key];
  used.bits += entry.bits;
  Client& client = clients_[{entry.edge_id, entry.gallery}];
  if (!is_decision(entry.charge)) return;
  ++used.decisions;
  ++used.by_edge[entry.edge_id];
  const int64_t minute = record.time_ms / kMinute_ms;
  if (client.minute.minute != minute) client.minute = {.minute = minute};
  ++client.minute.decisions;
}

void Ledger::apply_outcome(const LogRecord& record) {
  const LogEntry& entry = record.entry;
  const bool charged = pending_.erase(entry.nonce) > 0;
  // From before there were charges: the outcome was the charge.
  if (!charged && entry.event != LogEvent::admission && entry.outcome != LogOutcome::refused)
    ++used_[entry.key].decisions;
  if (entry.note == LogNote::spent_budget) spent_budgets_.insert(entry.key);
  Client& client = clients_[{entry.edge_id, entry.gallery}];
  if (is_crime(entry.note)) {
    ++client.crimes;
    ++used_[entry.key].crimes;
  }
  if (entry.note == LogNote::no_length) {
    const int64_t minute = record.time_ms / kMinute_ms;
    if (client.minute.minute != minute) client.minute = {.minute = minute};
    ++client.minute.unmeasured;
  }
  if (entry.event == LogEvent::verification && charged && is_about_a_person(entry.note))
    count(persons_[{entry.gallery, entry.person}].by_edge[entry.edge_id], entry.note);
}

// Searches that are under way keep the set that they were charged with.
void Ledger::set_locked(const std::string& gallery, const PersonId& person, bool locked) {
  auto& set = locked_[gallery];
  std::set<PersonId> changed = set != nullptr ? *set : std::set<PersonId>();
  if (locked)
    changed.insert(person);
  else
    changed.erase(person);
  set = std::make_shared<const std::set<PersonId>>(std::move(changed));
}

Ledger::Balance Ledger::Person::sum() const {
  Balance sum;
  for (const auto& [edge, balance] : by_edge) {
    sum.near += balance.near;
    sum.unproven += balance.unproven;
  }
  return sum;
}

void Ledger::count(Balance& balance, LogNote note) {
  if (note == LogNote::proof) {
    balance = {};
    return;
  }
  ++balance.unproven;
  if (note == LogNote::near_hit || note == LogNote::near_match || note == LogNote::no_answer)
    ++balance.near;
}

bool Ledger::is_too_much(const Balance& balance) const {
  return balance.near >= policy_.near_per_person || balance.unproven >= policy_.unproven_per_person;
}

std::shared_ptr<const std::set<PersonId>> Ledger::locked_in(const std::string& gallery) const {
  static const auto nobody = std::make_shared<const std::set<PersonId>>();
  const auto known = locked_.find(gallery);
  return known == locked_.end() ? nobody : known->second;
}

// --- What follows from it

uint64_t Ledger::decision_budget(const keys::KeyRecord& key) const {
  return key.decision_budget != 0 ? key.decision_budget : policy_.decisions_per_key;
}

Status Ledger::check_fresh(const Applicant& applicant) {
  const int64_t age_ms = now_ms() - static_cast<int64_t>(applicant.ticket.issued_at_ms());
  if (age_ms <= kTicketValidity_ms && age_ms >= -kClockSkew_ms) return {};
  return make_error(ErrorCode::refused,
                    "the ticket of edge {} is out of date; do the clocks of the edge and the key "
                    "service agree?",
                    applicant.scope.edge_id);
}

Status Ledger::check_unspent(const Applicant& applicant) {
  BAUTA_CHECK(check_fresh(applicant));
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    if (!spent_.contains(nonce_of(applicant.ticket))) return std::vector<LogEntry>();
    return make_error(ErrorCode::refused, "the ticket of edge {} has been used already",
                      applicant.scope.edge_id);
  });
}

Status Ledger::check_unlocked(const std::string& gallery, const PersonId& person) const {
  const auto known = persons_.find({gallery, person});
  if (known == persons_.end() || known->second.locked_since_ms == 0) return {};
  return locked_person(gallery, known->second.locked_since_ms);
}

Status Ledger::check_charge(const Applicant& applicant) {
  const keys::KeyRecord& key = applicant.key;
  const std::string& edge = applicant.scope.edge_id;
  const std::string& gallery = applicant.scope.gallery;
  const int64_t now = now_ms();
  BAUTA_CHECK(check_fresh(applicant));
  if (spent_.contains(nonce_of(applicant.ticket)))
    return make_error(ErrorCode::refused, "the ticket of edge {} has had its answer already", edge);
  if (key.evaluation) return {};
  const Client& client = clients_[{edge, gallery}];
  const int64_t locked_ms = std::max(client.locked_since_ms, clients_[{edge, ""}].locked_since_ms);
  if (locked_ms != 0)
    return make_error(ErrorCode::refused,
                      "edge {} is locked out of gallery {} since {:%Y-%m-%d %H:%M:%S} UTC for its "
                      "unusual requests; whoever holds the keys clears that by 'bauta keys unlock'",
                      edge, gallery, fmt::gmtime(static_cast<time_t>(locked_ms / 1000)));
  if (applicant.scope.kind == TicketKind::verification)
    BAUTA_CHECK(check_unlocked(gallery, person_of(applicant.scope.subject)));
  const Used& used = used_[key.id];
  if (used.decisions >= decision_budget(key) || used.bits >= policy_.bits_per_key)
    return make_error(ErrorCode::unavailable,
                      "key {} of tenant '{}' has given all answers of its budget ({} decisions, {} "
                      "bits); rotate to a new one with 'bauta keys rotate' and renew its galleries",
                      key.generation, key.tenant, decision_budget(key), policy_.bits_per_key);
  if (client.minute.minute != now / kMinute_ms) return {};
  if (is_decision(charge_of(applicant.scope.kind)) &&
      client.minute.decisions >= policy_.decisions_per_minute)
    return make_error(ErrorCode::busy,
                      "edge {} has had {} decisions on gallery {} in this minute; try again in the "
                      "next",
                      edge, policy_.decisions_per_minute, gallery);
  if (applicant.scope.image && client.minute.unmeasured >= policy_.unmeasured_per_minute)
    return make_error(ErrorCode::busy,
                      "edge {} has sent {} pictures that are too unlike a face to gallery {} in "
                      "this minute; try again in the next",
                      edge, policy_.unmeasured_per_minute, gallery);
  return {};
}

std::vector<LogEntry> Ledger::with_locks(std::vector<LogEntry> entries, bool evaluation) {
  if (evaluation) return entries;
  const int64_t now = now_ms();
  const size_t given = entries.size();
  // None of the entries is applied yet.
  std::map<PersonName, Person> persons;
  std::map<ClientName, Client> clients;
  for (size_t i = 0; i < given; ++i) {
    const LogEntry entry = entries[i];
    LogEntry lock;
    lock.outcome = LogOutcome::refused;
    lock.key = entry.key;
    lock.gallery = entry.gallery;
    if (entry.event == LogEvent::verification || entry.event == LogEvent::subject_named) {
      const PersonName name{entry.gallery, entry.person};
      Person& person = persons.try_emplace(name, persons_[name]).first->second;
      if (is_about_a_person(entry.note)) count(person.by_edge[entry.edge_id], entry.note);
      if (person.locked_since_ms == 0 && is_too_much(person.sum())) {
        person.locked_since_ms = now;
        lock.event = LogEvent::person_locked;
        lock.person = entry.person;
        entries.push_back(lock);
        lock.person = {};
      }
    }
    if (entry.edge_id.empty()) continue;
    const ClientName name{entry.edge_id, entry.gallery};
    Client& client = clients.try_emplace(name, clients_[name]).first->second;
    client.crimes += is_crime(entry.note) ? 1 : 0;
    if (client.locked_since_ms == 0 && is_crime(entry.note) &&
        client.crimes >= policy_.crafted_requests) {
      client.locked_since_ms = now;
      lock.event = LogEvent::edge_locked;
      lock.edge_id = entry.edge_id;
      entries.push_back(lock);
    }
  }
  return entries;
}

void Ledger::conclude_abandoned(std::vector<LogEntry>& entries) {
  const int64_t now = now_ms();
  for (const auto& [nonce, pending] : pending_) {
    if (pending.charged_at_ms + kAbandoned_ms > now) continue;
    LogEntry outcome = pending.charge;
    outcome.event = pending.charge.charge == LogCharge::identification ? LogEvent::identification
                    : pending.charge.charge == LogCharge::verification ? LogEvent::verification
                                                                       : LogEvent::admission;
    outcome.outcome = LogOutcome::refused;
    outcome.note = LogNote::no_answer;
    outcome.charge = LogCharge::none;
    outcome.bits = 0;
    entries.push_back(std::move(outcome));
  }
}

// --- Requests

Result<Charge> Ledger::charge(const Applicant& applicant, const Price& price) {
  Status status;
  Charge charge;
  BAUTA_CHECK(log_->update([&]() -> Result<std::vector<LogEntry>> {
    std::vector<LogEntry> entries;
    conclude_abandoned(entries);
    entries = with_locks(std::move(entries), false);
    status = check_charge(applicant);
    const LogEvent event = event_of(applicant.scope.kind);
    const auto refuse = [&](LogNote note) {
      std::vector<LogEntry> refusal =
          with_locks({without_ticket(entry_of(applicant, event, LogOutcome::refused, note))},
                     applicant.key.evaluation);
      entries.insert(entries.end(), refusal.begin(), refusal.end());
    };
    if (status.ok()) {
      charge.locked = locked_in(applicant.scope.gallery);
      LogEntry entry = entry_of(applicant, LogEvent::charged, LogOutcome::accepted, LogNote::none);
      entry.charge = charge_of(applicant.scope.kind);
      entry.positions = price.positions;
      entry.bits = price.bits;
      entries.push_back(std::move(entry));
    } else if (status.error().code == ErrorCode::unavailable) {
      if (!spent_budgets_.contains(applicant.key.id)) refuse(LogNote::spent_budget);
    } else if (spent_.contains(nonce_of(applicant.ticket))) {
      refuse(LogNote::spent_ticket);
    }
    return entries;
  }));
  if (!status.ok()) return status.error();
  return charge;
}

Status Ledger::check_told(const Applicant& applicant, std::span<const Told> told) const {
  const std::string& gallery = applicant.scope.gallery;
  if (applicant.scope.kind == TicketKind::verification)
    return check_unlocked(gallery, person_of(applicant.scope.subject));
  for (const Told& somebody : told)
    if (!check_unlocked(gallery, somebody.person).ok())
      return make_error(ErrorCode::busy,
                        "a person of gallery {} was locked while it was searched; try again",
                        gallery);
  return {};
}

Status Ledger::conclude(const Applicant& applicant, LogOutcome outcome, LogNote note,
                        std::span<const Told> told) {
  Status status;
  BAUTA_CHECK(log_->update(
      [&]() -> Result<std::vector<LogEntry>> {
        if (!pending_.contains(nonce_of(applicant.ticket)))
          return make_error(ErrorCode::unavailable,
                            "the answer to edge {} took more than {} s and is given up",
                            applicant.scope.edge_id, kAbandoned_ms / 1000);
        const LogEvent event = event_of(applicant.scope.kind);
        // Answers that were on their way together, and went beyond the limit together.
        if (!applicant.key.evaluation) status = check_told(applicant, told);
        if (!status.ok())
          return std::vector<LogEntry>{
              entry_of(applicant, event, LogOutcome::refused, LogNote::failed)};
        std::vector<LogEntry> entries{entry_of(applicant, event, outcome, note)};
        for (const Told& somebody : told) {
          LogEntry entry =
              entry_of(applicant, LogEvent::subject_named, LogOutcome::accepted, somebody.note);
          entry.person = somebody.person;
          entries.push_back(std::move(entry));
        }
        return with_locks(std::move(entries), applicant.key.evaluation);
      },
      Durability::written));
  return status;
}

Status Ledger::refused(const Applicant& applicant, LogNote note) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return with_locks({without_ticket(entry_of(applicant, event_of(applicant.scope.kind),
                                               LogOutcome::refused, note))},
                      applicant.key.evaluation);
  });
}

Status Ledger::contract_registered(const Applicant& applicant) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return std::vector<LogEntry>{
        entry_of(applicant, LogEvent::contract_registered, LogOutcome::accepted, LogNote::none)};
  });
}

Status Ledger::changed(LogEvent event, const keys::KeyId& key, const std::string& gallery,
                       const std::string& edge_id) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    LogEntry entry;
    entry.event = event;
    entry.outcome = LogOutcome::accepted;
    entry.key = key;
    entry.gallery = gallery;
    entry.edge_id = edge_id;
    return std::vector<LogEntry>{std::move(entry)};
  });
}

Status Ledger::stop_edge(const keys::KeyId& key, const std::string& edge_id) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    if (clients_[{edge_id, ""}].locked_since_ms != 0) return std::vector<LogEntry>();
    LogEntry entry;
    entry.event = LogEvent::edge_locked;
    entry.key = key;
    entry.edge_id = edge_id;
    return std::vector<LogEntry>{std::move(entry)};
  });
}

// The tenant stands where other records have a gallery.
Status Ledger::rotated_by_itself(const keys::KeyId& key, const std::string& tenant) {
  return changed(LogEvent::key_rotated, key, tenant);
}

int64_t Ledger::rotated_by_itself_at_ms(const std::string& tenant) {
  int64_t at_ms = 0;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    if (const auto known = rotated_at_ms_.find(tenant); known != rotated_at_ms_.end())
      at_ms = known->second;
    return std::vector<LogEntry>();
  });
  return at_ms;
}

Status Ledger::renewed(const keys::KeyId& from, const keys::KeyId& to, const std::string& gallery) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    LogEntry entry;
    entry.event = LogEvent::renewed_from;
    entry.outcome = LogOutcome::accepted;
    entry.key = from;
    entry.gallery = gallery;
    LogEntry next = entry;
    next.event = LogEvent::renewed_to;
    next.key = to;
    return std::vector<LogEntry>{std::move(entry), std::move(next)};
  });
}

Status Ledger::rewritten(const keys::KeyId& key, const std::string& gallery) {
  return changed(LogEvent::block_rewritten, key, gallery);
}

// --- What it tells

Ledger::Nearest Ledger::nearest_to_lock() {
  Nearest nearest;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    for (const auto& [name, person] : persons_) {
      if (person.locked_since_ms != 0) continue;
      const Balance sum = person.sum();
      const double share =
          std::max(sum.near / std::max(1.0, 1.0 * policy_.near_per_person),
                   sum.unproven / std::max(1.0, 1.0 * policy_.unproven_per_person));
      nearest.share = std::max(nearest.share, share);
      if (share >= 0.5) ++nearest.warned;
    }
    return std::vector<LogEntry>();
  });
  return nearest;
}

std::vector<Lock> Ledger::locks() {
  std::vector<Lock> found;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    for (const auto& [name, client] : clients_)
      if (client.locked_since_ms != 0)
        found.push_back({name.second, name.first, {}, client.locked_since_ms});
    for (const auto& [name, person] : persons_)
      if (person.locked_since_ms != 0)
        found.push_back({name.first, {}, name.second, person.locked_since_ms});
    return std::vector<LogEntry>();
  });
  return found;
}

Status Ledger::clear(const Lock& lock) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    const auto client = clients_.find({lock.edge_id, lock.gallery});
    const auto person = persons_.find({lock.gallery, lock.person});
    const bool locked = lock.edge_id.empty()
                            ? person != persons_.end() && person->second.locked_since_ms != 0
                            : client != clients_.end() && client->second.locked_since_ms != 0;
    if (!locked)
      return make_error(ErrorCode::not_found, "nobody of that name is locked in gallery {}",
                        lock.gallery);
    LogEntry entry;
    entry.event = LogEvent::lock_cleared;
    entry.outcome = LogOutcome::accepted;
    entry.gallery = lock.gallery;
    entry.edge_id = lock.edge_id;
    entry.person = lock.person;
    return std::vector<LogEntry>{std::move(entry)};
  });
}

KeyUsage Ledger::usage(const keys::KeyRecord& key) {
  KeyUsage usage;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    const Used& used = used_[key.id];
    usage = {used.decisions,       decision_budget(key), used.bits,
             policy_.bits_per_key, used.crimes,          used.by_edge};
    return std::vector<LogEntry>();
  });
  return usage;
}

Ledger::GrantsOnRecord Ledger::grants() {
  GrantsOnRecord found;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    found = grants_;
    return std::vector<LogEntry>();
  });
  return found;
}

uint64_t Ledger::decisions_of(const keys::KeyId& key) {
  keys::KeyRecord record;
  record.id = key;
  return usage(record).decisions;
}

std::map<std::string, keys::KeyId> Ledger::contracts() {
  std::map<std::string, keys::KeyId> registered;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    registered = contracts_;
    return std::vector<LogEntry>();
  });
  return registered;
}

}  // namespace bauta::key
