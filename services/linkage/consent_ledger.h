// Who consented to what, when, to which text: one file that is only ever appended to, in a chain of
// digests, each record signed by the token (docs/formats/consent-ledger.md). A record and its
// signature are the receipt that the person keeps. Persons stand in it under their opaque ids.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "keys/key_store.h"

namespace bauta::linkage {

struct Consent {
  // "registered", "opted_in", "opted_out", "deletion_ordered" or "deleted". Persistent.
  std::string event;
  std::string person;
  std::string engine, purpose;  // empty unless opted in or out
  std::string text;             // which text was agreed to, e.g. "opt-in 1"; or empty
};

struct Receipt {
  std::string record;  // JSON, exactly as it was digested
  Digest previous{};   // of the record before; zeros for the first
  Digest digest{};     // SHA-256(previous || record)
  keys::SignedBy signature;
};

// Thread-safe; one process at a time, which the lock of the caller's directory sees to.
class ConsentLedger {
 public:
  // Opens or creates the file and checks the whole chain and every signature. What an interrupted
  // append left at the end is removed: nobody was told of it. Errors: corrupt, naming the first
  // record that does not fit. `store` signs, and must outlive the ledger.
  static Result<std::unique_ptr<ConsentLedger>> open(const std::filesystem::path& file,
                                                     keys::KeyStore& store);
  ~ConsentLedger();
  ConsentLedger(const ConsentLedger&) = delete;
  ConsentLedger& operator=(const ConsentLedger&) = delete;

  // Durable when this returns.
  Result<Receipt> append(const Consent& consent);
  uint64_t records() const;
  // Recomputes the file's chain and signatures. Error corrupt: they do not fit, or it does not end
  // with what was appended last. Nothing is appended meanwhile.
  Status verify() const;
  // Of one person, oldest first.
  Result<std::vector<Receipt>> find(const std::string& person) const;

 private:
  ConsentLedger(std::filesystem::path path, keys::KeyStore& store)
      : path_(std::move(path)), store_(store) {}

  const std::filesystem::path path_;
  keys::KeyStore& store_;
  mutable std::mutex mutex_;  // guards what follows
  int file_ = -1;
  uint64_t records_ = 0;
  Digest head_{};
};

struct LedgerVerification {
  uint64_t records = 0;
  Digest head{};
  uint64_t whole_bytes = 0;  // behind them lies at most what an interrupted append left
};

// Recomputes chain and signatures; changes nothing. Calls visit for every record. Errors: corrupt,
// naming the first record that does not fit; not_found.
Result<LedgerVerification> verify_ledger(const std::filesystem::path& file,
                                         std::span<const keys::SigningKey> signing_keys,
                                         const std::function<void(const Receipt&)>& visit = {});

// The receipt as JSON, with the public key that signed it.
Result<std::string> to_json(const Receipt& receipt, std::span<const keys::SigningKey> signing_keys);
// Checks digest and signature of a receipt in that form, with `public_key` (DER), and returns its
// record. Errors: corrupt; invalid_argument.
Result<std::string> verify_receipt(std::string_view json, ByteView public_key);

}  // namespace bauta::linkage
