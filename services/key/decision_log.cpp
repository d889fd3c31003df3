#include "services/key/decision_log.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "BAUTALOG1\n";
constexpr std::string_view kHeadMagic = "BAUTAHEAD1\n";
constexpr std::string_view kHeadPurpose = "bauta decision log head 1";
constexpr size_t kFrame_bytes = 8;  // the length, and its complement
constexpr size_t kMaxPayload_bytes = 1024;
constexpr size_t kMaxName_bytes = 255;
constexpr size_t kRead_bytes = size_t{4} << 20;
constexpr std::chrono::seconds kLockWait(10);
constexpr std::chrono::milliseconds kLockPoll(1);

fs::path log_path(const fs::path& directory) {
  return directory / "decisions.log";
}
fs::path head_path(const fs::path& directory) {
  return directory / "decisions.head";
}

Error file_error(const char* action, const fs::path& path) {
  const ErrorCode code =
      errno == ENOSPC || errno == EDQUOT ? ErrorCode::no_space : ErrorCode::unavailable;
  return make_error(code, "cannot {} {}: {}", action, path.string(), std::strerror(errno));
}

Error broken_chain(const fs::path& path, uint64_t sequence) {
  return make_error(ErrorCode::corrupt,
                    "{} was changed or damaged: record {} does not follow from the one before; "
                    "compare with a backup",
                    path.string(), sequence);
}

// What a record has room for.
constexpr size_t kPerson_bytes = 16;

Bytes serialize(const LogRecord& record) {
  ByteWriter writer;
  writer.u64(record.sequence);
  writer.u64(static_cast<uint64_t>(record.time_ms));
  writer.u8(static_cast<uint8_t>(record.entry.event));
  writer.u8(static_cast<uint8_t>(record.entry.outcome));
  writer.u8(static_cast<uint8_t>(record.entry.note));
  writer.raw(record.entry.key);
  writer.raw(record.entry.nonce);
  writer.text(record.entry.gallery);
  writer.text(record.entry.edge_id);
  writer.raw(record.entry.person);
  writer.raw(std::array<uint8_t, kPerson_bytes - std::tuple_size_v<PersonId>>{});
  writer.u8(static_cast<uint8_t>(record.entry.charge));
  writer.u32(record.entry.positions);
  writer.u32(record.entry.bits);
  return std::move(writer).take();
}

template <size_t count>
Status read_array(ByteReader& reader, std::array<uint8_t, count>& array) {
  BAUTA_TRY(const ByteView bytes, reader.raw(count));
  std::copy(bytes.begin(), bytes.end(), array.begin());
  return {};
}

Result<LogRecord> parse_record(ByteView payload) {
  ByteReader reader(payload, "record of the decision log");
  LogRecord record;
  BAUTA_TRY(record.sequence, reader.u64());
  BAUTA_TRY(const uint64_t time_ms, reader.u64());
  record.time_ms = static_cast<int64_t>(time_ms);
  BAUTA_TRY(const uint8_t event, reader.u8());
  BAUTA_TRY(const uint8_t outcome, reader.u8());
  BAUTA_TRY(const uint8_t note, reader.u8());
  record.entry.event = static_cast<LogEvent>(event);
  record.entry.outcome = static_cast<LogOutcome>(outcome);
  record.entry.note = static_cast<LogNote>(note);
  BAUTA_CHECK(read_array(reader, record.entry.key));
  BAUTA_CHECK(read_array(reader, record.entry.nonce));
  BAUTA_TRY(record.entry.gallery, reader.text(kMaxName_bytes));
  BAUTA_TRY(record.entry.edge_id, reader.text(kMaxName_bytes));
  if (reader.remaining() == 0) return record;  // from before there were charges
  BAUTA_CHECK(read_array(reader, record.entry.person));
  BAUTA_CHECK(reader.raw(kPerson_bytes - record.entry.person.size()));  // once more of the digest
  BAUTA_TRY(const uint8_t charge, reader.u8());
  record.entry.charge = static_cast<LogCharge>(charge);
  BAUTA_TRY(record.entry.positions, reader.u32());
  BAUTA_TRY(record.entry.bits, reader.u32());
  BAUTA_CHECK(reader.finish());
  return record;
}

Digest chain(const Digest& previous, ByteView payload) {
  const ByteView parts[] = {previous, payload};
  return sha256(parts);
}

// The next record of `bytes`; 0 when its end is not there. Error: it does not continue the chain.
Result<size_t> read_record(const fs::path& path, ByteView bytes, LogHead& head,
                           const DecisionLog::Visit& visit) {
  const Error broken = broken_chain(path, head.sequence + 1);
  if (bytes.size() < kFrame_bytes) return size_t{0};
  ByteReader frame(bytes.first(kFrame_bytes), "frame");
  BAUTA_TRY(const uint32_t size, frame.u32());
  BAUTA_TRY(const uint32_t complement, frame.u32());
  if (size != ~complement || size > kMaxPayload_bytes) return broken;
  const size_t whole = kFrame_bytes + size + sizeof(Digest);
  if (bytes.size() < whole) return size_t{0};
  const ByteView payload = bytes.subspan(kFrame_bytes, size);
  const Result<LogRecord> record = parse_record(payload);
  const Digest digest = chain(head.digest, payload);
  if (!record.ok() || record->sequence != head.sequence + 1 ||
      !std::equal(digest.begin(), digest.end(), bytes.begin() + kFrame_bytes + size))
    return broken;
  head = {record->sequence, digest};
  visit(*record);
  return whole;
}

// Reads from `offset` to the end of the last whole record, which becomes the offset.
Status read_records(int file, const fs::path& path, uint64_t& offset, LogHead& head,
                    const DecisionLog::Visit& visit) {
  Bytes bytes;
  while (true) {
    bytes.resize(kRead_bytes);
    const ssize_t count = pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0) return file_error("read", path);
    bytes.resize(static_cast<size_t>(count));
    size_t used = 0;
    while (true) {
      BAUTA_TRY(const size_t size, read_record(path, ByteView(bytes).subspan(used), head, visit));
      if (size == 0) break;
      used += size;
    }
    offset += used;
    if (used == 0) return {};
  }
}

Status check_magic(int file, const fs::path& path, uint64_t& offset) {
  char magic[kMagic.size()];
  if (pread(file, magic, sizeof magic, 0) != static_cast<ssize_t>(sizeof magic) ||
      std::string_view(magic, sizeof magic) != kMagic)
    return broken_chain(path, 0);
  offset = kMagic.size();
  return {};
}

Status write_all(int file, const fs::path& path, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("write", path);
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

// A kernel that has failed to write a page forgets that it is dirty: a second sync would succeed
// without the page, and what is read afterwards may not be what the disk holds.
Error sync_error(const fs::path& path, int reason) {
  return make_error(ErrorCode::unavailable,
                    "cannot sync {}: {}; whether the last records are on the disk is not known, so "
                    "nothing more is decided: put the disk in order, restart the machine, so that "
                    "the log is read from the disk, and then the service",
                    path.string(), std::strerror(reason));
}

// Held alone between processes; the lock goes with the process that holds it.
class LogLock {
 public:
  static Result<LogLock> acquire(int file, const fs::path& path) {
    const auto give_up = std::chrono::steady_clock::now() + kLockWait;
    while (flock(file, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return file_error("lock", path);
      if (std::chrono::steady_clock::now() > give_up)
        return make_error(ErrorCode::busy, "{} is in use by another process; try again",
                          path.string());
      std::this_thread::sleep_for(kLockPoll);
    }
    return LogLock(file);
  }
  LogLock(LogLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  LogLock& operator=(LogLock&&) = delete;
  ~LogLock() {
    if (file_ >= 0) (void)flock(file_, LOCK_UN);
  }

 private:
  explicit LogLock(int file) : file_(file) {}
  int file_;
};

struct SignedHead {
  LogHead head;
  keys::SignedBy signature;
};

Bytes serialize(const LogHead& head) {
  ByteWriter writer;
  writer.u64(head.sequence);
  writer.raw(head.digest);
  return std::move(writer).take();
}

Result<SignedHead> read_signed_head(const fs::path& path) {
  BAUTA_TRY(const Bytes bytes, read_file(path, 4096));
  ByteReader reader(bytes, path.string());
  SignedHead signed_head;
  BAUTA_TRY(const ByteView magic, reader.raw(kHeadMagic.size()));
  BAUTA_TRY(signed_head.head.sequence, reader.u64());
  BAUTA_CHECK(read_array(reader, signed_head.head.digest));
  BAUTA_CHECK(read_array(reader, signed_head.signature.key));
  BAUTA_CHECK(read_array(reader, signed_head.signature.signature));
  BAUTA_CHECK(reader.finish());
  if (as_text(magic) != kHeadMagic)
    return make_error(ErrorCode::corrupt, "{} is not the head of a decision log", path.string());
  return signed_head;
}

Status check_signature(const fs::path& path, const SignedHead& signed_head,
                       std::span<const keys::SigningKey> signing_keys) {
  for (const keys::SigningKey& key : signing_keys)
    if (key.id == signed_head.signature.key)
      return keys::verify_signature(key.public_key, kHeadPurpose, serialize(signed_head.head),
                                    signed_head.signature.signature);
  return make_error(
      ErrorCode::corrupt,
      "{} is signed by {}, which is no key of keys.json; restore both from one backup",
      path.string(), to_hex(signed_head.signature.key));
}

// Of a directory where nothing was signed yet: the head of an empty log, which needs no signature.
Result<LogHead> checked_head(const fs::path& directory,
                             std::span<const keys::SigningKey> signing_keys) {
  const Result<SignedHead> signed_head = read_signed_head(head_path(directory));
  if (!signed_head.ok() && signed_head.error().code == ErrorCode::not_found) return LogHead{};
  if (!signed_head.ok()) return signed_head.error();
  BAUTA_CHECK(check_signature(head_path(directory), *signed_head, signing_keys));
  return signed_head->head;
}

Error cut_log(const fs::path& path, uint64_t signed_sequence) {
  return make_error(ErrorCode::corrupt,
                    "{} does not hold record {} as the token has signed it: it was rewritten or "
                    "cut, and budgets, lock-outs and spent tickets with it; restore the newest "
                    "backup of the whole directory",
                    path.string(), signed_sequence);
}

struct Descriptor {
  ~Descriptor() {
    if (file >= 0) close(file);
  }
  int file = -1;
};

}  // namespace

keys::KeyId GrantRecord::pack() const {
  keys::KeyId id{};
  for (size_t i = 0; i < 8; ++i) id[i] = static_cast<uint8_t>(number >> (8 * i));
  id[8] = rights;
  for (size_t i = 0; i < 7; ++i)
    id[9 + i] = static_cast<uint8_t>(static_cast<uint64_t>(not_after_ms) >> (8 * i));
  return id;
}

GrantRecord GrantRecord::unpack(const keys::KeyId& id) {
  GrantRecord record;
  for (size_t i = 0; i < 8; ++i) record.number |= uint64_t{id[i]} << (8 * i);
  record.rights = id[8];
  for (size_t i = 0; i < 7; ++i) record.not_after_ms |= int64_t{id[9 + i]} << (8 * i);
  return record;
}

const char* log_event_name(LogEvent event) {
  switch (event) {
    case LogEvent::identification:
      return "identification";
    case LogEvent::verification:
      return "verification";
    case LogEvent::admission:
      return "admission";
    case LogEvent::lock_out:
      return "lock_out";
    case LogEvent::key_created:
      return "key_created";
    case LogEvent::key_activated:
      return "key_activated";
    case LogEvent::key_suspended:
      return "key_suspended";
    case LogEvent::key_resumed:
      return "key_resumed";
    case LogEvent::key_destroyed:
      return "key_destroyed";
    case LogEvent::keys_backed_up:
      return "keys_backed_up";
    case LogEvent::key_restored:
      return "key_restored";
    case LogEvent::renewed_from:
      return "renewed_from";
    case LogEvent::renewed_to:
      return "renewed_to";
    case LogEvent::block_rewritten:
      return "block_rewritten";
    case LogEvent::grant_given:
      return "grant_given";
    case LogEvent::grant_taken:
      return "grant_taken";
    case LogEvent::edge_revoked:
      return "edge_revoked";
    case LogEvent::charged:
      return "charged";
    case LogEvent::contract_registered:
      return "contract_registered";
    case LogEvent::subject_named:
      return "subject_named";
    case LogEvent::person_locked:
      return "person_locked";
    case LogEvent::edge_locked:
      return "edge_locked";
    case LogEvent::lock_cleared:
      return "lock_cleared";
    case LogEvent::reference_inspected:
      return "reference_inspected";
    case LogEvent::key_rotated:
      return "key_rotated";
  }
  return "unknown";
}

const char* log_outcome_name(LogOutcome outcome) {
  switch (outcome) {
    case LogOutcome::accepted:
      return "accepted";
    case LogOutcome::rejected:
      return "rejected";
    case LogOutcome::refused:
      return "refused";
  }
  return "unknown";
}

const char* log_note_name(LogNote note) {
  switch (note) {
    case LogNote::none:
      return "";
    case LogNote::near_match:
      return "near match";
    case LogNote::implausible:
      return "implausible score";
    case LogNote::no_template:
      return "no template";
    case LogNote::bad_ticket:
      return "bad ticket";
    case LogNote::spent_ticket:
      return "spent ticket";
    case LogNote::spent_budget:
      return "spent budget";
    case LogNote::no_length:
      return "no length";
    case LogNote::near_hit:
      return "near hit";
    case LogNote::no_answer:
      return "no answer";
    case LogNote::failed:
      return "failed";
    case LogNote::crowd:
      return "crowd";
    case LogNote::proof:
      return "proof";
  }
  return "unknown";
}

Result<std::unique_ptr<DecisionLog>> DecisionLog::open(
    const fs::path& directory, Visit visit, std::span<const keys::SigningKey> signing_keys,
    SyncFile sync_file) {
  BAUTA_CHECK(create_directory(directory, 0700));
  if (!sync_file) sync_file = [](int file) { return fdatasync(file); };
  std::unique_ptr<DecisionLog> log(
      new DecisionLog(directory, std::move(visit), std::move(sync_file)));
  const fs::path path = log_path(directory);
  // Before the log, which others may lengthen meanwhile.
  BAUTA_TRY(const LogHead signed_head, checked_head(directory, signing_keys));
  const int if_absent = signed_head.sequence == 0 ? O_CREAT : 0;
  log->file_ = ::open(path.c_str(), O_RDWR | O_APPEND | if_absent | O_CLOEXEC, 0600);
  if (log->file_ < 0 && errno == ENOENT)
    return make_error(ErrorCode::corrupt,
                      "{} is missing, of which the token has signed {} records; restore the newest "
                      "backup of the whole directory",
                      path.string(), signed_head.sequence);
  if (log->file_ < 0) return file_error("open", path);
  BAUTA_TRY(const LogLock lock, LogLock::acquire(log->file_, path));
  struct stat status {};
  if (fstat(log->file_, &status) != 0) return file_error("read", path);
  if (status.st_size == 0 && signed_head.sequence == 0) {
    BAUTA_CHECK(write_all(log->file_, path, as_bytes(kMagic)));
    BAUTA_CHECK(sync_directory(directory));
  }
  BAUTA_CHECK(check_magic(log->file_, path, log->offset_));
  bool stands = signed_head.sequence == 0;
  // The head is advanced before a record is visited, so its digest is that of the record.
  const auto check = [&](const LogRecord& record) {
    if (record.sequence == signed_head.sequence) stands = log->head_.digest == signed_head.digest;
    log->visit_(record);
  };
  BAUTA_CHECK(read_records(log->file_, path, log->offset_, log->head_, check));
  if (!stands) return cut_log(path, signed_head.sequence);
  BAUTA_CHECK(log->catch_up());  // removes what an interrupted append has left
  // A process that was killed may have left records that no sync has reached: the first sync here
  // does, and whoever waits for his own record waits for those.
  log->written_ = log->offset_;
  log->background_ = std::jthread(
      [log = log.get()](const std::stop_token& stop) { log->sync_in_background(stop); });
  return log;
}

DecisionLog::~DecisionLog() {
  if (background_.joinable()) {
    background_.request_stop();
    background_.join();
  }
  if (file_ >= 0) close(file_);
}

Status DecisionLog::catch_up() {
  const fs::path path = log_path(directory_);
  struct stat status {};
  if (fstat(file_, &status) != 0) return file_error("read", path);
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < offset_) return broken_chain(path, head_.sequence);
  if (size == offset_) return {};
  BAUTA_CHECK(read_records(file_, path, offset_, head_, visit_));
  if (offset_ < size && ftruncate(file_, static_cast<off_t>(offset_)) != 0)
    return file_error("shorten", path);
  return {};
}

Status DecisionLog::update(const std::function<Result<std::vector<LogEntry>>()>& decide,
                           Durability durability) {
  uint64_t end = 0;
  {
    std::lock_guard thread_lock(mutex_);
    BAUTA_CHECK(check_synced());
    BAUTA_TRY(const LogLock process_lock, LogLock::acquire(file_, log_path(directory_)));
    BAUTA_CHECK(catch_up());
    BAUTA_TRY(const std::vector<LogEntry> entries, decide());
    if (entries.empty()) return {};
    BAUTA_CHECK(append(entries));
    end = offset_;
    std::lock_guard lock(sync_mutex_);
    written_ = end;
  }
  if (durability == Durability::synced) return sync_up_to(end);
  sync_wanted_.notify_one();
  return {};
}

Status DecisionLog::check_synced() {
  std::lock_guard lock(sync_mutex_);
  return sync_error_ ? Status(*sync_error_) : Status();
}

Status DecisionLog::sync_up_to(uint64_t end) {
  std::unique_lock lock(sync_mutex_);
  while (!sync_error_ && synced_ < end) {
    if (syncing_) {
      sync_ended_.wait(lock);
      continue;
    }
    // Leads: everybody who has written by now need not sync any more.
    syncing_ = true;
    const uint64_t covered = written_;
    lock.unlock();
    const bool synced = sync_file_(file_) == 0;
    const int reason = errno;
    lock.lock();
    syncing_ = false;
    if (synced) synced_ = covered;
    if (!synced) sync_error_ = sync_error(log_path(directory_), reason);
    sync_ended_.notify_all();
  }
  return sync_error_ ? Status(*sync_error_) : Status();
}

void DecisionLog::sync_in_background(const std::stop_token& stop) {
  std::unique_lock lock(sync_mutex_);
  while (!sync_error_) {
    sync_wanted_.wait(lock, stop, [&] { return written_ > synced_; });
    const uint64_t end = written_;
    if (end == synced_) return;  // told to stop, and nothing is left
    // Somebody who waits for his own record may come, and sync these too.
    sync_wanted_.wait_for(lock, stop, kSyncDelay, [] { return false; });
    lock.unlock();
    (void)sync_up_to(end);  // the next update() says that it failed
    lock.lock();
  }
}

Status DecisionLog::append(const std::vector<LogEntry>& entries) {
  ByteWriter writer;
  LogHead head = head_;
  std::vector<LogRecord> records;
  for (const LogEntry& entry : entries) {
    records.push_back({head.sequence + 1, now_ms(), entry});
    const Bytes payload = serialize(records.back());
    BAUTA_ASSERT(payload.size() <= kMaxPayload_bytes);
    head = {head.sequence + 1, chain(head.digest, payload)};
    writer.u32(static_cast<uint32_t>(payload.size()));
    writer.u32(~static_cast<uint32_t>(payload.size()));
    writer.raw(payload);
    writer.raw(head.digest);
  }
  const fs::path path = log_path(directory_);
  if (const Status written = write_all(file_, path, writer.bytes()); !written.ok()) {
    (void)!ftruncate(file_, static_cast<off_t>(offset_));  // else the next one does it
    return written;
  }
  head_ = head;
  offset_ += writer.bytes().size();
  for (const LogRecord& record : records) visit_(record);
  return {};
}

LogHead DecisionLog::head() {
  std::lock_guard lock(mutex_);
  return head_;
}

Status DecisionLog::sign(keys::KeyStore& store) {
  // One signs at a time, over all processes, so that the head never goes back. That is a lock on
  // the directory, which nobody who appends takes.
  const Descriptor directory{::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.file < 0) return file_error("open", directory_);
  BAUTA_TRY(const LogLock signing, LogLock::acquire(directory.file, directory_));
  LogHead head;
  uint64_t end = 0;
  BAUTA_CHECK(update([&]() -> Result<std::vector<LogEntry>> {
    head = head_;
    end = offset_;
    std::lock_guard lock(sync_mutex_);
    written_ = offset_;
    return std::vector<LogEntry>();
  }));
  BAUTA_CHECK(sync_up_to(end));
  return sign_head(directory_, head, store);
}

Status sign_head(const fs::path& directory, const LogHead& head, keys::KeyStore& store) {
  const Result<SignedHead> current = read_signed_head(head_path(directory));
  if (!current.ok() && current.error().code != ErrorCode::not_found) return current.error();
  if (current.ok() && current->head.sequence == head.sequence &&
      current->head.digest == head.digest)
    return {};
  if (current.ok() && current->head.sequence >= head.sequence)
    return cut_log(log_path(directory), current->head.sequence);
  if (head.sequence == 0) return {};
  const Bytes message = serialize(head);
  BAUTA_TRY(const keys::SignedBy signature, store.sign(kHeadPurpose, message));
  ByteWriter writer;
  writer.raw(as_bytes(kHeadMagic));
  writer.raw(message);
  writer.raw(signature.key);
  writer.raw(signature.signature);
  return write_file_atomically(head_path(directory), writer.bytes(), 0600);
}

Result<LogVerification> verify_log(const fs::path& directory,
                                   std::span<const keys::SigningKey> signing_keys) {
  const fs::path path = log_path(directory);
  const Descriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (opened.file < 0 && errno == ENOENT)
    return make_error(ErrorCode::not_found, "there is no decision log at {}", path.string());
  if (opened.file < 0) return file_error("open", path);
  BAUTA_TRY(const SignedHead signed_head, read_signed_head(head_path(directory)));
  struct stat status {};  // before reading: the key service may append meanwhile
  if (fstat(opened.file, &status) != 0) return file_error("read", path);
  LogVerification found;
  bool stands = false;
  uint64_t offset = 0;
  BAUTA_CHECK(check_magic(opened.file, path, offset));
  // The head is advanced before a record is visited, so its digest is that of the record.
  BAUTA_CHECK(read_records(opened.file, path, offset, found.head, [&](const LogRecord& record) {
    if (record.sequence == signed_head.head.sequence)
      stands = found.head.digest == signed_head.head.digest;
    if (record.entry.outcome == LogOutcome::refused)
      ++found.refused;
    else if (record.entry.event <= LogEvent::verification)
      ++found.decisions;
  }));
  if (offset < static_cast<uint64_t>(status.st_size))
    return make_error(ErrorCode::corrupt,
                      "{} ends within a record: it was cut, or an append was interrupted; the key "
                      "service removes the rest when it starts",
                      path.string());
  if (!stands) return cut_log(path, signed_head.head.sequence);
  BAUTA_CHECK(check_signature(head_path(directory), signed_head, signing_keys));
  found.signed_records = signed_head.head.sequence;
  found.signing_key = signed_head.signature.key;
  return found;
}

}  // namespace bauta::key
