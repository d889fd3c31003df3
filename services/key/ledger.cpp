#include "services/key/ledger.h"

#include <algorithm>
#include <ctime>

#include <fmt/chrono.h>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int64_t kTicketValidity_ms = 5 * 60'000;
constexpr int64_t kClockSkew_ms = 60'000;
constexpr int64_t kMinute_ms = 60'000;
constexpr int64_t kMinutesRemembered = 60;
constexpr size_t kMaxPolicy_bytes = 64 << 10;

int64_t minute_of(int64_t time_ms) {
  return time_ms / kMinute_ms;
}

bool is_decision(const LogEntry& entry) {
  return entry.event <= LogEvent::verification && entry.outcome != LogOutcome::refused;
}

bool is_crafted(LogNote note) {
  return note == LogNote::implausible || note == LogNote::no_template ||
         note == LogNote::bad_ticket || note == LogNote::spent_ticket;
}

uint32_t drawn(uint32_t limit) {
  return limit + static_cast<uint32_t>(random_below(uint64_t{limit} + 1));
}

TicketNonce nonce_of(const v1::Ticket& ticket) {
  TicketNonce nonce{};
  if (ticket.nonce().size() == nonce.size())
    std::copy(ticket.nonce().begin(), ticket.nonce().end(), nonce.begin());
  return nonce;
}

LogEntry entry_of(const Applicant& applicant, LogOutcome outcome, LogNote note) {
  return {applicant.scope.verification ? LogEvent::verification : LogEvent::identification,
          outcome,
          note,
          applicant.key.id,
          nonce_of(applicant.ticket),
          applicant.scope.gallery,
          applicant.scope.edge_id};
}

// The entry of a request whose ticket proves nothing spends none.
LogEntry without_ticket(LogEntry entry) {
  entry.nonce = {};
  return entry;
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
      !read_number(json, "decisions_per_minute", policy.decisions_per_minute) ||
      !read_number(json, "near_match_margin", policy.near_match_margin) ||
      !read_number(json, "near_matches", policy.near_matches) ||
      !read_number(json, "rejected_verifications", policy.rejected_verifications) ||
      !read_number(json, "crafted_requests", policy.crafted_requests) ||
      !read_number(json, "unmeasured_per_minute", policy.unmeasured_per_minute) ||
      !read_number(json, "lock_out_s", policy.lock_out_s))
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

// --- What the log says

Ledger::Client& Ledger::client(const std::string& edge_id, const std::string& gallery) {
  const auto [place, added] = clients_.try_emplace({edge_id, gallery});
  Client& client = place->second;
  if (added) {
    client.near_matches = drawn(policy_.near_matches);
    client.rejected_verifications = drawn(policy_.rejected_verifications);
    client.crafted = drawn(policy_.crafted_requests);
  }
  return client;
}

void Ledger::apply(const LogRecord& record) {
  const LogEntry& entry = record.entry;
  if (is_of_grants(entry.event)) {
    grants_.number = std::max(grants_.number, GrantRecord::unpack(entry.key).number);
    if (entry.event != LogEvent::grant_taken) grants_.edges.insert(entry.edge_id);
    return;
  }
  if (entry.nonce != TicketNonce{}) {
    spent_.insert(entry.nonce);
    spent_at_.emplace_back(record.time_ms, entry.nonce);
  }
  // A ticket is good for its validity after an issue that may lie in our future by the skew.
  while (!spent_at_.empty() &&
         spent_at_.front().first + kTicketValidity_ms + 2 * kClockSkew_ms < record.time_ms) {
    spent_.erase(spent_at_.front().second);
    spent_at_.pop_front();
  }
  if (is_decision(entry)) ++decisions_[entry.key];
  if (entry.note == LogNote::spent_budget) spent_budgets_.insert(entry.key);
  if (entry.edge_id.empty()) return;
  Client& client = this->client(entry.edge_id, entry.gallery);
  if (entry.event == LogEvent::lock_out) {
    client = {};
    client.locked_until_ms = record.time_ms + int64_t{policy_.lock_out_s} * 1000;
    client.near_matches = drawn(policy_.near_matches);
    client.rejected_verifications = drawn(policy_.rejected_verifications);
    client.crafted = drawn(policy_.crafted_requests);
    return;
  }
  const int64_t minute = minute_of(record.time_ms);
  client.minutes.erase(client.minutes.begin(),
                       client.minutes.lower_bound(minute - kMinutesRemembered));
  Minute& counts = client.minutes[minute];
  const bool verification = entry.event == LogEvent::verification;
  if (is_decision(entry)) {
    ++counts.decisions;
    if (verification) ++counts.verifications;
    if (verification && entry.outcome == LogOutcome::rejected) ++counts.rejected_verifications;
  }
  if (entry.note == LogNote::near_match) ++counts.near_matches;
  if (is_crafted(entry.note)) ++counts.crafted;
  if (entry.note == LogNote::no_length) ++counts.unmeasured;
}

// --- What follows from it

Status Ledger::check_locked(const Client& client, const std::string& edge_id,
                            const std::string& gallery) {
  if (client.locked_until_ms <= now_ms()) return {};
  return make_error(ErrorCode::refused,
                    "edge {} is locked out of gallery {} until {:%Y-%m-%d %H:%M:%S} UTC for its "
                    "unusual requests",
                    edge_id, gallery,
                    fmt::gmtime(static_cast<std::time_t>(client.locked_until_ms / 1000)));
}

uint64_t Ledger::budget_of(const keys::KeyRecord& key) const {
  return key.decision_budget != 0 ? key.decision_budget : policy_.decisions_per_key;
}

Status Ledger::check_applicant(const Applicant& applicant) {
  const keys::KeyRecord& key = applicant.key;
  const int64_t age_ms = now_ms() - static_cast<int64_t>(applicant.ticket.issued_at_ms());
  if (age_ms > kTicketValidity_ms || age_ms < -kClockSkew_ms)
    return make_error(ErrorCode::refused,
                      "the ticket of edge {} is out of date; do the clocks of the edge and the key "
                      "service agree?",
                      applicant.scope.edge_id);
  if (spent_.contains(nonce_of(applicant.ticket)))
    return make_error(ErrorCode::refused, "the ticket of edge {} has had its decision already",
                      applicant.scope.edge_id);
  if (key.evaluation) return {};
  const Client& client = this->client(applicant.scope.edge_id, applicant.scope.gallery);
  BAUTA_CHECK(check_locked(client, applicant.scope.edge_id, applicant.scope.gallery));
  if (decisions_[key.id] >= budget_of(key))
    return make_error(ErrorCode::refused,
                      "key {} of tenant '{}' has made all {} decisions of its budget; rotate to a "
                      "new one with 'bauta keys rotate' and renew its galleries",
                      key.generation, key.tenant, budget_of(key));
  const auto minute = client.minutes.find(minute_of(now_ms()));
  if (minute != client.minutes.end() && minute->second.decisions >= policy_.decisions_per_minute)
    return make_error(ErrorCode::busy,
                      "edge {} has had {} decisions on gallery {} in this minute; try again in the "
                      "next",
                      applicant.scope.edge_id, policy_.decisions_per_minute,
                      applicant.scope.gallery);
  return {};
}

bool Ledger::is_anomalous(const Client& client, const LogEntry& latest) const {
  Minute sum;
  for (const auto& [minute, counts] : client.minutes) {
    sum.decisions += counts.decisions;
    sum.near_matches += counts.near_matches;
    sum.verifications += counts.verifications;
    sum.rejected_verifications += counts.rejected_verifications;
    sum.crafted += counts.crafted;
  }
  if (latest.note == LogNote::near_match) ++sum.near_matches;
  if (is_crafted(latest.note)) ++sum.crafted;
  if (latest.event == LogEvent::verification && latest.outcome == LogOutcome::rejected)
    ++sum.rejected_verifications;
  return sum.crafted >= client.crafted ||
         (sum.near_matches >= client.near_matches && sum.near_matches > sum.decisions / 4) ||
         (sum.rejected_verifications >= client.rejected_verifications &&
          sum.rejected_verifications > sum.verifications / 4 * 3);
}

std::vector<LogEntry> Ledger::with_lock_out(LogEntry entry, const keys::KeyRecord* key) {
  std::vector<LogEntry> entries = {std::move(entry)};
  const LogEntry& latest = entries.front();
  if (key != nullptr && key->evaluation) return entries;
  const Client& client = this->client(latest.edge_id, latest.gallery);
  if (client.locked_until_ms <= now_ms() && is_anomalous(client, latest))
    entries.push_back({LogEvent::lock_out,
                       LogOutcome::refused,
                       LogNote::none,
                       latest.key,
                       {},
                       latest.gallery,
                       latest.edge_id});
  return entries;
}

// --- Requests

Status Ledger::check(const Applicant& applicant) {
  Status status;
  BAUTA_CHECK(log_->update([&]() -> Result<std::vector<LogEntry>> {
    status = check_applicant(applicant);
    if (status.ok()) return std::vector<LogEntry>();
    const keys::KeyRecord& key = applicant.key;
    if (!key.evaluation && decisions_[key.id] >= budget_of(key) && !spent_budgets_.contains(key.id))
      return std::vector<LogEntry>{
          without_ticket(entry_of(applicant, LogOutcome::refused, LogNote::spent_budget))};
    if (!spent_.contains(nonce_of(applicant.ticket))) return std::vector<LogEntry>();
    return with_lock_out(
        without_ticket(entry_of(applicant, LogOutcome::refused, LogNote::spent_ticket)),
        &applicant.key);
  }));
  return status;
}

Status Ledger::decided(const Applicant& applicant, LogOutcome outcome, LogNote note) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    BAUTA_CHECK(check_applicant(applicant));
    return with_lock_out(entry_of(applicant, outcome, note), &applicant.key);
  });
}

Status Ledger::refused(const Applicant& applicant, LogNote note) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    const LogEntry entry = entry_of(applicant, LogOutcome::refused, note);
    return with_lock_out(note == LogNote::bad_ticket ? without_ticket(entry) : entry,
                         &applicant.key);
  });
}

Status Ledger::check_admission(const std::string& edge_id, const std::string& gallery,
                               bool measuring) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    const Client& client = this->client(edge_id, gallery);
    BAUTA_CHECK(check_locked(client, edge_id, gallery));
    const auto minute = client.minutes.find(minute_of(now_ms()));
    if (measuring && minute != client.minutes.end() &&
        minute->second.unmeasured >= policy_.unmeasured_per_minute)
      return make_error(ErrorCode::busy,
                        "edge {} has sent {} pictures that are too unlike a face to gallery {} in "
                        "this minute; try again in the next",
                        edge_id, policy_.unmeasured_per_minute, gallery);
    return std::vector<LogEntry>();
  });
}

Status Ledger::refused_admission(const keys::KeyId& key, const std::string& edge_id,
                                 const std::string& gallery, LogNote note) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return with_lock_out(
        {LogEvent::admission, LogOutcome::refused, note, key, {}, gallery, edge_id}, nullptr);
  });
}

Status Ledger::changed(LogEvent event, const keys::KeyId& key) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return std::vector<LogEntry>{{event, LogOutcome::accepted, LogNote::none, key, {}, {}, {}}};
  });
}

Status Ledger::renewed(const keys::KeyId& from, const keys::KeyId& to, const std::string& gallery) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return std::vector<LogEntry>{
        {LogEvent::renewed_from, LogOutcome::accepted, LogNote::none, from, {}, gallery, {}},
        {LogEvent::renewed_to, LogOutcome::accepted, LogNote::none, to, {}, gallery, {}}};
  });
}

Status Ledger::rewritten(const keys::KeyId& key, const std::string& gallery) {
  return log_->update([&]() -> Result<std::vector<LogEntry>> {
    return std::vector<LogEntry>{
        {LogEvent::block_rewritten, LogOutcome::accepted, LogNote::none, key, {}, gallery, {}}};
  });
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
  uint64_t decisions = 0;
  (void)log_->update([&]() -> Result<std::vector<LogEntry>> {
    decisions = decisions_[key];
    return std::vector<LogEntry>();
  });
  return decisions;
}

}  // namespace bauta::key
