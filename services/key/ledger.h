// Which requests may have a decision: one for each ticket, so many for each key, so many a minute
// for each edge and gallery, and none for an edge that behaves as nobody's face does.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <memory_resource>
#include <set>

#include "services/key/decision_log.h"

namespace bauta::key {

// What the operator may change, in DIRECTORY/policy.json (docs/operations/keys.md). Evaluation keys
// are held to none of it but tickets.
struct Policy {
  uint64_t decisions_per_key = 1'000'000;  // unless the key has a budget of its own
  uint32_t decisions_per_minute = 6'000;   // of one edge on one gallery
  double near_match_margin = 0.05;         // a rejected score so far below the threshold is near
  // Within an hour, of one edge on one gallery; the edge is locked out between this number and its
  // double, drawn at random, so that the moment tells nothing of a single score.
  uint32_t near_matches = 30;             // and more than a quarter of all decisions
  uint32_t rejected_verifications = 100;  // and more than three quarters of all
  uint32_t crafted_requests = 10;         // no templates, implausible scores, bad or spent tickets
  uint32_t unmeasured_per_minute = 10;    // encrypted pictures that are too unlike a face
  uint32_t lock_out_s = 900;
};

// Error corrupt: not what docs/operations/keys.md describes. Without a file, the defaults.
Result<Policy> read_policy(const std::filesystem::path& directory);

// Who asks what for a decision.
struct Applicant {
  keys::KeyRecord key;
  TicketScope scope;
  v1::Ticket ticket;
};

// Thread-safe, and safe between processes on one machine. Nothing in it is secret.
class Ledger {
 public:
  // Over the decision log in the directory. Errors: those of DecisionLog and read_policy.
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& directory,
                                              std::span<const keys::SigningKey> signing_keys = {});

  // Whether the applicant may have a decision now. Errors: refused (ticket out of date or spent,
  // budget spent, edge locked out), each recorded once it matters; busy above the rate.
  Status check(const Applicant& applicant);
  // Records the decision on the applicant and spends its ticket; durable when this returns. Error
  // refused, as check(), when another request was faster: then the decision must not leave.
  Status decided(const Applicant& applicant, LogOutcome outcome, LogNote note);
  // Records a request that got no decision. Spends the ticket of an applicant, if there is one.
  Status refused(const Applicant& applicant, LogNote note);
  // Whether references of the edge may be admitted, or measured first. Errors: refused while the
  // edge is locked out; busy when too many were measured in vain in this minute.
  Status check_admission(const std::string& edge_id, const std::string& gallery, bool measuring);
  // Records references that were not admitted (no_template), or could not be measured (no_length).
  Status refused_admission(const keys::KeyId& key, const std::string& edge_id,
                           const std::string& gallery, LogNote note);
  // Records a change of a key.
  Status changed(LogEvent event, const keys::KeyId& key);
  // Records that the gallery may be switched from one key to another.
  Status renewed(const keys::KeyId& from, const keys::KeyId& to, const std::string& gallery);

  // Records that a block of the gallery is decrypted, to be rid of what was erased in it.
  Status rewritten(const keys::KeyId& key, const std::string& gallery);

  // What is on record of grants: the number of the newest list, and edges that were ever given one
  // or revoked.
  struct GrantsOnRecord {
    uint64_t number = 0;
    std::set<std::string> edges;
  };
  GrantsOnRecord grants();

  uint64_t decisions_of(const keys::KeyId& key);
  const Policy& policy() const { return policy_; }
  DecisionLog& log() { return *log_; }

 private:
  // What one edge did on one gallery in one minute.
  struct Minute {
    uint32_t decisions = 0, near_matches = 0, verifications = 0, rejected_verifications = 0,
             crafted = 0, unmeasured = 0;
  };
  struct Client {
    std::map<int64_t, Minute> minutes;  // of the last hour, by minutes since 1970
    int64_t locked_until_ms = 0;
    uint32_t near_matches = 0, rejected_verifications = 0, crafted = 0;  // the limits drawn
  };

  explicit Ledger(Policy policy) : policy_(policy) {}
  void apply(const LogRecord& record);
  Client& client(const std::string& edge_id, const std::string& gallery);
  Status check_applicant(const Applicant& applicant);
  uint64_t budget_of(const keys::KeyRecord& key) const;
  static Status check_locked(const Client& client, const std::string& edge_id,
                             const std::string& gallery);
  // The entry, and a lock-out if it makes the edge's behaviour too odd.
  std::vector<LogEntry> with_lock_out(LogEntry entry, const keys::KeyRecord* key);
  bool is_anomalous(const Client& client, const LogEntry& latest) const;

  const Policy policy_;
  std::unique_ptr<DecisionLog> log_;

  // What follows is changed and read within DecisionLog::update only.
  // Of tickets that are not out of date. In memory of their own: a few bytes that live for minutes,
  // left between the large buffers of requests, would keep those from being used again.
  std::pmr::unsynchronized_pool_resource spent_memory_;
  std::pmr::set<TicketNonce> spent_{&spent_memory_};
  std::pmr::deque<std::pair<int64_t, TicketNonce>> spent_at_{&spent_memory_};  // as in the log
  std::map<keys::KeyId, uint64_t> decisions_;
  GrantsOnRecord grants_;
  std::set<keys::KeyId> spent_budgets_;  // that are on record
  std::map<std::pair<std::string, std::string>, Client> clients_;
};

}  // namespace bauta::key
