// The key service's audit log: every decision, refusal and change of a key, in a chain of digests
// in one file that is only ever appended to (docs/formats/decision-log.md).
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "keys/key_store.h"
#include "services/ticket.h"

namespace bauta::key {

// Persistent, append only, all three.
enum class LogEvent : uint8_t {
  identification = 1,
  verification = 2,
  admission = 3,  // of references; only refusals are recorded
  lock_out = 4,   // of an edge from a gallery
  key_created = 5,
  key_activated = 6,
  key_suspended = 7,
  key_resumed = 8,
  key_destroyed = 9,
  keys_backed_up = 10,
  key_restored = 11,
  renewed_from = 12,  // a key that leads from this one to the next record's was given out
  renewed_to = 13,
  block_rewritten = 14,  // a block without originals was decrypted and encrypted anew
  grant_given = 15,      // their key ids are a GrantRecord
  grant_taken = 16,
  edge_revoked = 17,
  charged = 20,              // a ticket was spent; outcomes follow, or the process ended before
  contract_registered = 21,  // for a gallery
  subject_named = 22,        // somebody of whom the answer to a ticket told something
  person_locked = 23,        // for good
  edge_locked = 24,          // out of a gallery, for good
  lock_cleared = 25,         // by an operator
  reference_inspected = 26,  // opened by the key holder
  key_rotated = 27,          // by itself: the key that followed is the record's
};
// What a ticket was charged for. Persistent.
enum class LogCharge : uint8_t { none = 0, identification = 1, verification = 2, enrolment = 3 };
enum class LogOutcome : uint8_t { accepted = 1, rejected = 2, refused = 4 };  // accepted: or done
// Why, where that is not the outcome itself.
enum class LogNote : uint8_t {
  none = 0,
  near_match = 1,    // rejected, but not by much
  implausible = 2,   // a score that no pair of templates can have
  no_template = 3,   // a probe or reference was not admitted
  bad_ticket = 4,    // not signed by the edge for this request, or out of date
  spent_ticket = 5,  // has had its decision
  spent_budget = 6,  // the key has made all decisions that it may; once for each key
  no_length = 7,     // an encrypted picture was too unlike a face to be measured
  near_hit = 8,      // accepted, but not by much
  no_answer = 9,     // charged, and then the process ended: counted as the worst answer
  proof = 10,        // accepted far above the threshold: the edge has shown that face
  failed = 11,       // charged, and answered by an error: it told nothing, and counts for nobody
  crowd = 12,        // a search that would have told of too many people at once
};
const char* log_event_name(LogEvent event);
const char* log_outcome_name(LogOutcome outcome);
const char* log_note_name(LogNote note);

struct LogEntry {
  LogEvent event = LogEvent::identification;
  LogOutcome outcome = LogOutcome::refused;
  LogNote note = LogNote::none;
  keys::KeyId key{};
  TicketNonce nonce{};  // of the ticket; zero: none
  std::string gallery, edge_id;
  PersonId person{};  // zeros: nobody in particular
  LogCharge charge = LogCharge::none;
  uint32_t positions = 0;  // that were compared, or references to admit
  uint32_t bits = 0;       // that the answers can tell at most
};

// What stands in place of the key's id where the event is one of grants: the number of the list
// that the change made, and of a grant its rights (0: all of them ended) and end.
struct GrantRecord {
  uint64_t number = 0;
  uint8_t rights = 0;
  int64_t not_after_ms = 0;  // since 1970 UTC; 0: no end

  keys::KeyId pack() const;
  static GrantRecord unpack(const keys::KeyId& id);
};
inline bool is_of_grants(LogEvent event) {
  return event == LogEvent::grant_given || event == LogEvent::grant_taken ||
         event == LogEvent::edge_revoked;
}

struct LogRecord {
  uint64_t sequence = 0;  // 1, 2, 3 ... without gaps
  int64_t time_ms = 0;
  LogEntry entry;
};

// The last record; zeros for an empty log.
struct LogHead {
  uint64_t sequence = 0;
  Digest digest{};
};

// When update() returns.
enum class Durability {
  synced,   // once the records are on stable storage; callers that wait at the same time share a
            // sync
  written,  // once the file has them: they survive a kill -9 of this process, not a loss of power,
            // until the next sync, which begins after kSyncDelay at the latest
};
inline constexpr std::chrono::milliseconds kSyncDelay(5);

// Makes what was written to a file durable, as fdatasync, which it is but in tests of its failure.
using SyncFile = std::function<int(int file)>;

// Thread-safe, and safe between processes on one machine. Records stand in the file in the order in
// which they were visited, so a record that is durable has all before it durable too.
class DecisionLog {
 public:
  // Called for every record in order: those in the file when it is opened, then every other one
  // that this or another process appends, with the log locked.
  using Visit = std::function<void(const LogRecord&)>;

  // Opens DIRECTORY/decisions.log and checks the whole chain, and that what the token has signed
  // (with one of `signing_keys`) stands in it; makes it when nothing was signed yet. What an
  // interrupted append left at the end is removed: nobody was told of it. Error corrupt: it was
  // changed, cut, removed or damaged.
  static Result<std::unique_ptr<DecisionLog>> open(
      const std::filesystem::path& directory, Visit visit,
      std::span<const keys::SigningKey> signing_keys = {}, SyncFile sync_file = {});
  // Syncs what is written.
  ~DecisionLog();
  DecisionLog(const DecisionLog&) = delete;
  DecisionLog& operator=(const DecisionLog&) = delete;

  // Locks the log, visits what others have appended, appends what `decide` returns, unlocks it, and
  // waits as `durability` says. `decide` may be called with nothing to append, to see the present
  // state; then nothing is waited for. A record is visited when it is appended. Errors: those of
  // `decide`; busy when another process holds the lock for long; no_space and unavailable when the
  // records cannot be written, of which none is left then. unavailable for good, for everybody who
  // waits and for every later call, once a sync has failed: nobody knows then what the disk holds.
  Status update(const std::function<Result<std::vector<LogEntry>>()>& decide,
                Durability durability = Durability::synced);

  LogHead head();

  // sign_head() of all that this and other processes have appended, once it is synced: after a loss
  // of power, what is signed must stand in the log. Appends go on while the token signs.
  Status sign(keys::KeyStore& store);

 private:
  DecisionLog(std::filesystem::path directory, Visit visit, SyncFile sync_file)
      : directory_(std::move(directory)),
        visit_(std::move(visit)),
        sync_file_(std::move(sync_file)) {}
  Status catch_up();
  Status append(const std::vector<LogEntry>& entries);
  // Waits until a sync that began with `end` bytes written has ended, and runs it if nobody does.
  Status sync_up_to(uint64_t end);
  // Of an earlier sync.
  Status check_synced();
  // The thread that syncs what nobody waits for.
  void sync_in_background(const std::stop_token& stop);

  const std::filesystem::path directory_;
  const Visit visit_;
  const SyncFile sync_file_;
  std::mutex mutex_;     // guards what follows; held over no sync
  int file_ = -1;        // not changed once it is open
  uint64_t offset_ = 0;  // the end of the records that were visited
  LogHead head_;

  std::mutex sync_mutex_;  // guards what follows; taken after mutex_, if both
  std::condition_variable_any sync_ended_, sync_wanted_;
  uint64_t written_ = 0;  // offset_, as a sync that begins now would make durable
  uint64_t synced_ = 0;   // of which this is known to be durable
  bool syncing_ = false;
  std::optional<Error> sync_error_;  // the first; for good
  std::jthread background_;          // ends before all else
};

// What `bauta audit verify` finds.
struct LogVerification {
  LogHead head;
  uint64_t signed_records = 0;  // up to where the token has signed
  keys::KeyId signing_key{};
  uint64_t decisions = 0, refused = 0;
};

// Signs the head in the token and writes DIRECTORY/decisions.head; nothing when it is signed
// already. Errors: those of KeyStore::sign; corrupt when another record of this number, or a later
// one, was signed before.
Status sign_head(const std::filesystem::path& directory, const LogHead& head,
                 keys::KeyStore& store);

// Recomputes the chain and checks that the signed head stands in it. Changes nothing. Errors:
// corrupt, naming the first record that does not fit; not_found when there is no log.
Result<LogVerification> verify_log(const std::filesystem::path& directory,
                                   std::span<const keys::SigningKey> signing_keys);

}  // namespace bauta::key
