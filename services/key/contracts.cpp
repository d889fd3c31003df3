#include "services/key/contracts.h"

#include "base/digest.h"
#include "base/file.h"
#include "services/contract.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "BAUTACONTRACT1\n";
constexpr size_t kMaxText_bytes = 4096;
constexpr size_t kMaxFile_bytes = 32 << 10;

}  // namespace

Bytes serialize_registered(const RegisteredContract& registered) {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.text(registered.gallery);
  writer.text(registered.tenant);
  writer.text(registered.edge_id);
  writer.u32(registered.version);
  writer.text(serialize_contract(registered.contract));
  writer.text(registered.ticket.nonce());
  writer.u64(registered.ticket.issued_at_ms());
  writer.text(registered.ticket.signature());
  const Digest digest = sha256(writer.bytes());
  writer.raw(digest);
  return std::move(writer).take();
}

Result<RegisteredContract> parse_registered(ByteView bytes) {
  const char* const what = "registered contract";
  if (bytes.size() < sizeof(Digest))
    return make_error(ErrorCode::corrupt, "a {} of {} bytes", what, bytes.size());
  const ByteView covered = bytes.first(bytes.size() - sizeof(Digest));
  const Digest digest = sha256(covered);
  if (!std::equal(digest.begin(), digest.end(), bytes.begin() + std::ssize(covered)))
    return make_error(ErrorCode::corrupt, "a {} with a wrong checksum", what);
  ByteReader reader(covered, what);
  RegisteredContract registered;
  BAUTA_TRY(const ByteView magic, reader.raw(kMagic.size()));
  if (as_text(magic) != kMagic) return make_error(ErrorCode::corrupt, "no {}", what);
  BAUTA_TRY(registered.gallery, reader.text(kMaxText_bytes));
  BAUTA_TRY(registered.tenant, reader.text(kMaxText_bytes));
  BAUTA_TRY(registered.edge_id, reader.text(kMaxText_bytes));
  BAUTA_TRY(registered.version, reader.u32());
  BAUTA_TRY(const std::string contract, reader.text(kMaxText_bytes));
  BAUTA_TRY(registered.contract, parse_contract(contract));
  BAUTA_TRY(*registered.ticket.mutable_nonce(), reader.text(kMaxText_bytes));
  BAUTA_TRY(const uint64_t issued_at_ms, reader.u64());
  registered.ticket.set_issued_at_ms(issued_at_ms);
  BAUTA_TRY(*registered.ticket.mutable_signature(), reader.text(kMaxText_bytes));
  BAUTA_CHECK(reader.finish());
  return registered;
}

Result<std::unique_ptr<Contracts>> Contracts::open(const fs::path& directory) {
  BAUTA_CHECK(create_directory(directory, 0700));
  return std::unique_ptr<Contracts>(new Contracts(directory));
}

// A name may hold what a file name may not.
fs::path Contracts::path_of(const std::string& gallery) const {
  return directory_ / to_hex(sha256(as_bytes(gallery)));
}

Result<RegisteredContract> Contracts::read(const std::string& gallery) const {
  const fs::path path = path_of(gallery);
  const Result<Bytes> bytes = read_file(path, kMaxFile_bytes);
  if (!bytes.ok() && bytes.error().code == ErrorCode::not_found)
    return make_error(ErrorCode::not_found,
                      "the key service holds no contract of gallery {}; an edge with the right "
                      "'admin' registers one when it creates the gallery",
                      gallery);
  if (!bytes.ok()) return bytes.error();
  Result<RegisteredContract> registered = parse_registered(*bytes);
  if (registered.ok() && registered->gallery == gallery) return registered;
  return make_error(ErrorCode::corrupt,
                    "{} is damaged, the contract of gallery {}; restore it from a backup",
                    path.string(), gallery);
}

Result<RegisteredContract> Contracts::find(const std::string& gallery) {
  std::error_code absent;
  const fs::file_time_type changed = fs::last_write_time(path_of(gallery), absent);
  {
    std::lock_guard lock(mutex_);
    const auto known = known_.find(gallery);
    if (!absent && known != known_.end() && known->second.changed == changed)
      return known->second.contract;
  }
  BAUTA_TRY(RegisteredContract registered, read(gallery));
  std::lock_guard lock(mutex_);
  known_[gallery] = {changed, registered};
  return registered;
}

Result<uint32_t> Contracts::put(RegisteredContract registered) {
  std::lock_guard lock(mutex_);
  const Result<RegisteredContract> before = read(registered.gallery);
  if (!before.ok() && before.error().code != ErrorCode::not_found) return before.error();
  if (before.ok() && before->tenant != registered.tenant)
    return make_error(ErrorCode::refused, "gallery {} is another tenant's", registered.gallery);
  if (before.ok() &&
      serialize_contract(before->contract) == serialize_contract(registered.contract))
    return before->version;
  registered.version = before.ok() ? before->version + 1 : 1;
  BAUTA_CHECK(
      write_file_atomically(path_of(registered.gallery), serialize_registered(registered), 0600));
  known_.erase(registered.gallery);
  return registered.version;
}

}  // namespace bauta::key
