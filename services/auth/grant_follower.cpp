#include "services/auth/grant_follower.h"

#include <algorithm>
#include <cstdio>

#include "base/file.h"

namespace bauta::auth {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPinnedMagic = "BAUTASIGNERS1\n";
constexpr size_t kMaxPinned_bytes = 64 << 10;
constexpr size_t kMaxSigners = 64;
constexpr size_t kMaxPublicKey_bytes = 512;

fs::path grants_path(const fs::path& directory) {
  return directory / "grants";
}
fs::path pinned_path(const fs::path& directory) {
  return directory / "grants.signers";
}

}  // namespace

Result<std::unique_ptr<GrantFollower>> GrantFollower::open(const fs::path& directory,
                                                           KeyService& keys) {
  BAUTA_TRY(store::Catalogue catalogue, store::Catalogue::open(directory / "catalogue.sqlite"));
  std::unique_ptr<GrantFollower> follower(new GrantFollower(directory, std::move(catalogue), keys));
  BAUTA_CHECK(follower->read_pinned());
  const auto signers = [target = follower.get()]() -> Result<std::vector<grants::TrustedKey>> {
    std::lock_guard lock(target->mutex_);
    return target->signers_;
  };
  Result<std::unique_ptr<grants::Grants>> opened =
      grants::Grants::open(grants_path(directory), signers);
  if (!opened.ok())
    return make_error(opened.error().code,
                      "{}; remove {} and {} to have the grants from the key service once more",
                      opened.error().message, grants_path(directory).string(),
                      pinned_path(directory).string());
  follower->grants_ = std::move(*opened);
  (void)follower->fetch();  // so that the first request finds what there is
  follower->thread_ = std::jthread(
      [target = follower.get()](const std::stop_token& stop) { target->fetch_regularly(stop); });
  return follower;
}

void GrantFollower::fetch_regularly(const std::stop_token& stop) {
  std::mutex waiting;
  std::unique_lock lock(waiting);
  while (
      !stopping_.wait_for(lock, stop, kFetchGrantsEvery, [&] { return stop.stop_requested(); })) {
    const Status fetched = fetch();
    const std::string complaint =
        fetched.ok() || fetched.error().code != ErrorCode::corrupt ? "" : fetched.error().message;
    if (!complaint.empty() && complaint != complaint_)
      fmt::print(stderr, "bauta-auth: {}\n", complaint);
    complaint_ = complaint;
  }
}

Status GrantFollower::fetch() {
  std::lock_guard alone(fetching_);
  // Those of this machine's own command, with or without the key service.
  BAUTA_TRY(const std::vector<std::string> revoked, catalogue_.revoked_edges());
  grants_->revoke_here({revoked.begin(), revoked.end()});
  v1::GetGrantsRequest request;
  request.set_after_number(grants_->number());
  BAUTA_TRY(const v1::GetGrantsReply reply, keys_.get_grants(request));
  return take(reply);
}

Status GrantFollower::take(const v1::GetGrantsReply& reply) {
  {
    std::lock_guard lock(mutex_);
    tenants_.clear();
    for (const v1::TenantKey& key : reply.keys()) tenants_[key.key_id()] = key.tenant();
  }
  if (reply.number() < grants_->number())
    return make_error(ErrorCode::corrupt,
                      "the key service has the grants of number {}, and here are those of number "
                      "{}: it went back to an older state; these stay in force",
                      reply.number(), grants_->number());
  if (reply.number() == grants_->number()) return {};
  BAUTA_CHECK(pin(reply));
  BAUTA_TRY(const grants::SignedGrants sent, grants::parse_grants(as_bytes(reply.grants())));
  {
    std::lock_guard lock(mutex_);
    BAUTA_CHECK(grants::check_signed(sent, signers_, "the list of grants of the key service"));
  }
  if (sent.list.number != reply.number())
    return make_error(ErrorCode::corrupt, "the key service sent another list than it named");
  BAUTA_CHECK(write_file_atomically(grants_path(directory_), as_bytes(reply.grants()), 0600));
  grants_->follow();
  // The keys that switch what a revoked edge has encrypted go, as with the command of this machine.
  BAUTA_TRY(const std::vector<std::string> known, catalogue_.revoked_edges());
  for (const std::string& edge : sent.list.revoked)
    if (!std::ranges::binary_search(known, edge)) BAUTA_CHECK(catalogue_.revoke_edge(edge));
  return {};
}

// The first answer fixes the signers; later ones only if they are among them.
Status GrantFollower::pin(const v1::GetGrantsReply& reply) {
  {
    std::lock_guard lock(mutex_);
    if (!signers_.empty()) return {};
  }
  std::vector<grants::TrustedKey> signers;
  ByteWriter writer;
  writer.raw(as_bytes(kPinnedMagic));
  writer.u32(static_cast<uint32_t>(reply.signers_size()));
  for (const v1::GrantSigner& signer : reply.signers()) {
    grants::TrustedKey key;
    if (signer.id().size() != key.id.size() || signer.public_key().size() > kMaxPublicKey_bytes ||
        static_cast<size_t>(reply.signers_size()) > kMaxSigners)
      return make_error(ErrorCode::corrupt, "the signing keys of the key service cannot be read");
    std::ranges::copy(as_bytes(signer.id()), key.id.begin());
    const ByteView public_key = as_bytes(signer.public_key());
    key.public_key.assign(public_key.begin(), public_key.end());
    writer.raw(key.id);
    writer.text(signer.public_key());
    signers.push_back(std::move(key));
  }
  BAUTA_CHECK(write_file_atomically(pinned_path(directory_), writer.bytes(), 0600));
  std::lock_guard lock(mutex_);
  signers_ = std::move(signers);
  return {};
}

Status GrantFollower::read_pinned() {
  const fs::path path = pinned_path(directory_);
  const Result<Bytes> bytes = read_file(path, kMaxPinned_bytes);
  if (!bytes.ok() && bytes.error().code == ErrorCode::not_found) return {};
  if (!bytes.ok()) return bytes.error();
  ByteReader reader(*bytes, path.string());
  BAUTA_TRY(const ByteView magic, reader.raw(kPinnedMagic.size()));
  BAUTA_TRY(const uint32_t count, reader.u32());
  if (as_text(magic) != kPinnedMagic || count > kMaxSigners)
    return make_error(ErrorCode::corrupt, "{} is no list of signing keys", path.string());
  std::vector<grants::TrustedKey> signers(count);
  for (grants::TrustedKey& signer : signers) {
    BAUTA_TRY(const ByteView id, reader.raw(signer.id.size()));
    std::ranges::copy(id, signer.id.begin());
    BAUTA_TRY(const std::string public_key, reader.text(kMaxPublicKey_bytes));
    signer.public_key.assign(public_key.begin(), public_key.end());
  }
  BAUTA_CHECK(reader.finish());
  std::lock_guard lock(mutex_);
  signers_ = std::move(signers);
  return {};
}

std::optional<std::string> GrantFollower::known_tenant(const std::string& key_id) {
  std::lock_guard lock(mutex_);
  const auto known = tenants_.find(key_id);
  return known == tenants_.end() ? std::nullopt : std::optional(known->second);
}

std::optional<std::string> GrantFollower::tenant_of_key(const std::string& key_id) {
  if (std::optional<std::string> tenant = known_tenant(key_id)) return tenant;
  (void)fetch();  // it may be new
  return known_tenant(key_id);
}

std::optional<std::string> GrantFollower::tenant_of_gallery(const std::string& gallery) {
  const Result<store::Gallery> row = catalogue_.find_gallery(gallery);
  if (!row.ok()) return std::nullopt;
  return tenant_of_key(row->key_id).value_or("?");
}

}  // namespace bauta::auth
