// Which requests may have an answer, and what each costs: one answer for each ticket, so many
// decisions and bits for each key, so many decisions a minute for each edge and gallery, so many
// answers near the threshold for each person, and none for an edge that crafts its requests
// (docs/design/budgets.md).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <memory_resource>
#include <set>

#include "services/key/decision_log.h"

namespace bauta::key {

// What the operator may change, in DIRECTORY/policy.json (docs/operations/keys.md). Evaluation keys
// are held to none of it but tickets. Counts are absolute: what is reached is locked until an
// operator clears it, also after a restart, a rotation or a renewal.
struct Policy {
  // The life of a key, unless it has a budget of its own. It never refills.
  uint64_t decisions_per_key = 1'000'000;
  uint64_t bits_per_key = 25'000'000;  // of possible answers
  // The rate of one edge on one gallery.
  uint32_t decisions_per_minute = 6'000;
  uint32_t unmeasured_per_minute = 10;  // encrypted pictures that are too unlike a face
  // Of one person, the sum over all edges since each has last shown that face. A score so close to
  // the threshold, on either side, is near; one so high, and further above the threshold, shows the
  // face, which nobody can who has still to find it.
  double near_margin = 0.08;
  double proof_score = 0.75;
  uint32_t near_per_person = 24;
  uint32_t unproven_per_person = 200;
  // Crimes of one edge on one gallery: no templates, implausible scores, bad or spent tickets, and
  // searches that come near to a crowd.
  uint32_t crafted_requests = 10;
};

// Error corrupt: not what docs/operations/keys.md describes. Without a file, the defaults.
Result<Policy> read_policy(const std::filesystem::path& directory);

// Who asks what for an answer.
struct Applicant {
  keys::KeyRecord key;
  TicketScope scope;
  v1::Ticket ticket;
};

// What an answer can tell.
struct Price {
  uint32_t positions = 0;  // scores to compare, or references to admit
  uint32_t bits = 0;
};

// What an answer tells of somebody.
struct Told {
  PersonId person{};
  LogNote note = LogNote::none;  // near_hit, near_match, proof, or none: too far from what decides
};

// That a request was charged for, and what its answer must keep to.
struct Charge {
  std::shared_ptr<const std::set<PersonId>> locked;  // people of the gallery whom no search finds
};

// What a key has been used for.
struct KeyUsage {
  uint64_t decisions = 0, decision_budget = 0;
  uint64_t bits = 0, bit_budget = 0;
  uint64_t crimes = 0;
  std::map<std::string, uint64_t> decisions_by_edge;

  // Of the budget that is used up most, 0 to 1 and beyond.
  double share() const;
};

// Who is locked, until an operator clears it.
struct Lock {
  std::string gallery;  // empty: every gallery
  std::string edge_id;  // empty: a person
  PersonId person{};
  int64_t since_ms = 0;
};

// Thread-safe, and safe between processes on one machine. Nothing in it is secret.
class Ledger {
 public:
  // Over the decision log in the directory. Errors: those of DecisionLog and read_policy.
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& directory,
                                              std::span<const keys::SigningKey> signing_keys = {});

  // Spends the ticket and charges the price, durably, before anything is decrypted for it. Errors:
  // refused (ticket out of date or spent, edge or person locked), each recorded once it matters;
  // unavailable when the key's budget is spent; busy above the rate. Then nothing is charged.
  Result<Charge> charge(const Applicant& applicant, const Price& price);
  // Records what became of a charged request, and whom a search told something of. Errors, and then
  // the answer must not leave: unavailable when it comes too late; refused or busy when somebody
  // whom it tells of was locked meanwhile.
  Status conclude(const Applicant& applicant, LogOutcome outcome, LogNote note,
                  std::span<const Told> told = {});
  // Whether a ticket that costs nothing is in date. Error refused.
  static Status check_fresh(const Applicant& applicant);
  // The same, and that it has not been used.
  Status check_unspent(const Applicant& applicant);
  // Records a request that was charged nothing.
  Status refused(const Applicant& applicant, LogNote note);

  // Records that a contract was registered, which spends its ticket.
  Status contract_registered(const Applicant& applicant);
  // Records a change of a key, a contract or a reference.
  Status changed(LogEvent event, const keys::KeyId& key, const std::string& gallery = {},
                 const std::string& edge_id = {});
  // Locks the edge out of every gallery, until that is cleared. Nothing when it is.
  Status stop_edge(const keys::KeyId& key, const std::string& edge_id);
  // Records that a key of the tenant has made way for this one, and when the last has; 0: never.
  Status rotated_by_itself(const keys::KeyId& key, const std::string& tenant);
  int64_t rotated_by_itself_at_ms(const std::string& tenant);
  // Records that the gallery may be switched from one key to another.
  Status renewed(const keys::KeyId& from, const keys::KeyId& to, const std::string& gallery);
  // Records that a block of the gallery is decrypted, to be rid of what was erased in it.
  Status rewritten(const keys::KeyId& key, const std::string& gallery);

  // The share of their limit that the person nearest to a lock has used up, and how many have used
  // up half of it.
  struct Nearest {
    double share = 0;
    size_t warned = 0;
  };
  Nearest nearest_to_lock();
  std::vector<Lock> locks();
  // Forgets what led to the lock. Error not_found: there is none.
  Status clear(const Lock& lock);

  KeyUsage usage(const keys::KeyRecord& key);
  // What is on record of grants: the number of the newest list, and edges that were ever given one
  // or revoked.
  struct GrantsOnRecord {
    uint64_t number = 0;
    std::set<std::string> edges;
  };
  GrantsOnRecord grants();

  uint64_t decisions_of(const keys::KeyId& key);
  // Galleries whose contract is on record, and the key of the tenant that they were registered for.
  std::map<std::string, keys::KeyId> contracts();
  const Policy& policy() const { return policy_; }
  DecisionLog& log() { return *log_; }

 private:
  struct Minute {
    int64_t minute = 0;  // since 1970
    uint32_t decisions = 0, unmeasured = 0;
  };
  // One edge on one gallery.
  struct Client {
    Minute minute;
    uint32_t crimes = 0;
    int64_t locked_since_ms = 0;  // 0: not locked
  };
  // Answers about a person that one edge had since it last showed that face.
  struct Balance {
    uint32_t near = 0, unproven = 0;
  };
  struct Person {
    std::map<std::string, Balance> by_edge;
    int64_t locked_since_ms = 0;

    Balance sum() const;
  };
  // A charged request without an outcome yet.
  struct Pending {
    int64_t charged_at_ms = 0;
    LogEntry charge;
  };
  struct Used {
    uint64_t decisions = 0, bits = 0, crimes = 0;
    std::map<std::string, uint64_t> by_edge;
  };
  using ClientName = std::pair<std::string, std::string>;  // edge, gallery
  using PersonName = std::pair<std::string, PersonId>;     // gallery

  explicit Ledger(Policy policy) : policy_(policy) {}
  void apply(const LogRecord& record);
  void apply_charge(const LogRecord& record);
  void apply_outcome(const LogRecord& record);
  void forget_old_tickets(int64_t time_ms);
  void set_locked(const std::string& gallery, const PersonId& person, bool locked);
  std::shared_ptr<const std::set<PersonId>> locked_in(const std::string& gallery) const;
  // Error refused: the person is locked.
  Status check_unlocked(const std::string& gallery, const PersonId& person) const;
  Status check_told(const Applicant& applicant, std::span<const Told> told) const;
  Status check_charge(const Applicant& applicant);
  uint64_t decision_budget(const keys::KeyRecord& key) const;
  static void count(Balance& balance, LogNote note);
  bool is_too_much(const Balance& balance) const;
  // The entries, and the locks that they lead to.
  std::vector<LogEntry> with_locks(std::vector<LogEntry> entries, bool evaluation);
  // Outcomes of what was charged long ago by a process that ended.
  void conclude_abandoned(std::vector<LogEntry>& entries);

  const Policy policy_;
  std::unique_ptr<DecisionLog> log_;

  // What follows is changed and read within DecisionLog::update only.
  // Of tickets that are not out of date. In memory of their own: a few bytes that live for minutes,
  // left between the large buffers of requests, would keep those from being used again.
  std::pmr::unsynchronized_pool_resource spent_memory_;
  std::pmr::set<TicketNonce> spent_{&spent_memory_};
  std::pmr::deque<std::pair<int64_t, TicketNonce>> spent_at_{&spent_memory_};  // as in the log
  std::map<TicketNonce, Pending> pending_;
  std::map<keys::KeyId, Used> used_;
  GrantsOnRecord grants_;
  std::set<keys::KeyId> spent_budgets_;  // that are on record
  std::map<ClientName, Client> clients_;
  std::map<PersonName, Person> persons_;
  std::map<std::string, std::shared_ptr<const std::set<PersonId>>> locked_;  // by gallery
  std::map<std::string, keys::KeyId> contracts_;
  std::map<std::string, int64_t> rotated_at_ms_;  // by themselves, by tenant
};

}  // namespace bauta::key
