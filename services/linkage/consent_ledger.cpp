#include "services/linkage/consent_ledger.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/file.h"

namespace bauta::linkage {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::string_view kPurpose = "bauta consent 1";
constexpr size_t kMaxLedger_bytes = size_t{1} << 30;
constexpr size_t kMaxRecord_bytes = 4096;
constexpr size_t kMaxText_bytes = 200;
// Digest, key and signature in hexadecimal, a blank behind each.
constexpr size_t kPrefix_bytes = 64 + 1 + 32 + 1 + 128 + 1;

Digest chain(const Digest& previous, std::string_view record) {
  const ByteView parts[] = {previous, as_bytes(record)};
  return sha256(parts);
}

template <size_t count>
bool read_hex(std::string_view text, std::array<uint8_t, count>& into) {
  const Result<Bytes> bytes = from_hex(text);
  if (!bytes.ok() || bytes->size() != count) return false;
  std::ranges::copy(*bytes, into.begin());
  return true;
}

Status check_signature(const Receipt& receipt, std::span<const keys::SigningKey> signing_keys) {
  for (const keys::SigningKey& key : signing_keys)
    if (key.id == receipt.signature.key)
      return keys::verify_signature(key.public_key, kPurpose, receipt.digest,
                                    receipt.signature.signature);
  return make_error(ErrorCode::corrupt, "it is signed by {}, which is no key of keys.json",
                    to_hex(receipt.signature.key));
}

std::string time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc));
}

std::string to_record(uint64_t sequence, const Consent& consent) {
  return Json{{"sequence", sequence},     {"time", time_now()},       {"event", consent.event},
              {"person", consent.person}, {"engine", consent.engine}, {"purpose", consent.purpose},
              {"text", consent.text}}
      .dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
}

std::string to_line(const Receipt& receipt) {
  return fmt::format("{} {} {} {}\n", to_hex(receipt.digest), to_hex(receipt.signature.key),
                     to_hex(receipt.signature.signature), receipt.record);
}

bool parse_line(std::string_view line, Receipt& receipt) {
  if (line.size() <= kPrefix_bytes || line.size() > kPrefix_bytes + kMaxRecord_bytes) return false;
  receipt.record = line.substr(kPrefix_bytes);
  return read_hex(line.substr(0, 64), receipt.digest) &&
         read_hex(line.substr(65, 32), receipt.signature.key) &&
         read_hex(line.substr(98, 128), receipt.signature.signature) &&
         to_line(receipt) == fmt::format("{}\n", line);  // there is one way to write it
}

Error broken(const fs::path& path, uint64_t sequence, const std::string& why) {
  return make_error(ErrorCode::corrupt,
                    "{} was changed or damaged: record {} does not fit ({}); compare with a backup",
                    path.string(), sequence, why);
}

Status write_durably(int file, const fs::path& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return make_error(errno == ENOSPC ? ErrorCode::no_space : ErrorCode::unavailable,
                        "cannot write {}: {}", path.string(), std::strerror(errno));
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (fdatasync(file) == 0) return {};
  return make_error(ErrorCode::unavailable, "cannot sync {}: {}", path.string(),
                    std::strerror(errno));
}

// signing_keys: null leaves the signatures out, which take far longer than the chain.
Result<LedgerVerification> read_ledger(const fs::path& file,
                                       const std::span<const keys::SigningKey>* signing_keys,
                                       const std::function<void(const Receipt&)>& visit) {
  BAUTA_TRY(const Bytes bytes, read_file(file, kMaxLedger_bytes));
  const std::string_view text = as_text(bytes);
  LedgerVerification verified;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n', begin)) {
    Receipt receipt;
    receipt.previous = verified.head;
    const uint64_t sequence = verified.records + 1;
    if (!parse_line(text.substr(begin, end - begin), receipt))
      return broken(file, sequence, "it is malformed");
    const Json record = Json::parse(receipt.record, nullptr, /*allow_exceptions=*/false);
    if (!record.is_object() || record.value("sequence", Json()) != Json(sequence) ||
        chain(verified.head, receipt.record) != receipt.digest)
      return broken(file, sequence, "it does not follow from the one before");
    if (signing_keys != nullptr)
      if (const Status checked = check_signature(receipt, *signing_keys); !checked.ok())
        return broken(file, sequence, checked.error().message);
    verified.records = sequence;
    verified.head = receipt.digest;
    verified.whole_bytes = begin = end + 1;
    if (visit) visit(receipt);
  }
  return verified;
}

}  // namespace

Result<LedgerVerification> verify_ledger(const fs::path& file,
                                         std::span<const keys::SigningKey> signing_keys,
                                         const std::function<void(const Receipt&)>& visit) {
  return read_ledger(file, &signing_keys, visit);
}

Result<std::unique_ptr<ConsentLedger>> ConsentLedger::open(const fs::path& file,
                                                           keys::KeyStore& store) {
  std::unique_ptr<ConsentLedger> ledger(new ConsentLedger(file, store));
  std::error_code ignored;
  if (!fs::exists(file, ignored)) BAUTA_CHECK(write_file_atomically(file, {}, 0600));
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, store.signing_keys());
  BAUTA_TRY(const LedgerVerification verified, verify_ledger(file, signing_keys));
  ledger->file_ = ::open(file.c_str(), O_RDWR | O_APPEND | O_CLOEXEC);
  if (ledger->file_ < 0 || ftruncate(ledger->file_, static_cast<off_t>(verified.whole_bytes)) != 0)
    return make_error(ErrorCode::unavailable, "cannot write {}: {}", file.string(),
                      std::strerror(errno));
  ledger->records_ = verified.records;
  ledger->head_ = verified.head;
  return ledger;
}

ConsentLedger::~ConsentLedger() {
  if (file_ >= 0) close(file_);
}

Result<Receipt> ConsentLedger::append(const Consent& consent) {
  for (const std::string* text :
       {&consent.event, &consent.person, &consent.engine, &consent.purpose, &consent.text})
    if (text->size() > kMaxText_bytes)
      return make_error(ErrorCode::invalid_argument, "a text of a consent has at most {} bytes",
                        kMaxText_bytes);
  std::lock_guard lock(mutex_);
  Receipt receipt;
  receipt.previous = head_;
  receipt.record = to_record(records_ + 1, consent);
  receipt.digest = chain(head_, receipt.record);
  BAUTA_TRY(receipt.signature, store_.sign(kPurpose, receipt.digest));
  const off_t end = lseek(file_, 0, SEEK_END);
  if (const Status written = write_durably(file_, path_, to_line(receipt)); !written.ok()) {
    (void)!ftruncate(file_, end);  // half a record must not stand before the next
    return written.error();
  }
  ++records_;
  head_ = receipt.digest;
  return receipt;
}

uint64_t ConsentLedger::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

Status ConsentLedger::verify() const {
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, store_.signing_keys());
  std::lock_guard lock(mutex_);
  BAUTA_TRY(const LedgerVerification verified, verify_ledger(path_, signing_keys));
  if (verified.records == records_ && verified.head == head_) return {};
  return make_error(ErrorCode::corrupt,
                    "{} ends with record {}, not {}: it was cut; compare with a backup",
                    path_.string(), verified.records, records_);
}

Result<std::vector<Receipt>> ConsentLedger::find(const std::string& person) const {
  std::vector<Receipt> found;
  const auto visit = [&](const Receipt& receipt) {
    const Json record = Json::parse(receipt.record, nullptr, /*allow_exceptions=*/false);
    if (record.value("person", "") == person) found.push_back(receipt);
  };
  std::lock_guard lock(mutex_);
  BAUTA_CHECK(read_ledger(path_, nullptr, visit));
  return found;
}

Result<std::string> to_json(const Receipt& receipt,
                            std::span<const keys::SigningKey> signing_keys) {
  for (const keys::SigningKey& key : signing_keys)
    if (key.id == receipt.signature.key)
      return Json{{"record", receipt.record},
                  {"previous", to_hex(receipt.previous)},
                  {"digest", to_hex(receipt.digest)},
                  {"signature", to_hex(receipt.signature.signature)},
                  {"public_key", to_hex(key.public_key)}}
          .dump();
  return make_error(ErrorCode::not_found, "the key that signed the receipt is not in keys.json");
}

Result<std::string> verify_receipt(std::string_view json, ByteView public_key) {
  const Error malformed = make_error(ErrorCode::invalid_argument, "this is not a receipt");
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return malformed;
  const auto text = [&](const char* name) {
    const auto field = document.find(name);
    return field != document.end() && field->is_string() ? field->get<std::string>()
                                                         : std::string();
  };
  Receipt receipt;
  receipt.record = text("record");
  if (!read_hex(text("previous"), receipt.previous) || !read_hex(text("digest"), receipt.digest) ||
      !read_hex(text("signature"), receipt.signature.signature))
    return malformed;
  if (chain(receipt.previous, receipt.record) != receipt.digest)
    return make_error(ErrorCode::corrupt, "the receipt's record was changed");
  BAUTA_CHECK(
      keys::verify_signature(public_key, kPurpose, receipt.digest, receipt.signature.signature));
  return receipt.record;
}

}  // namespace bauta::linkage
