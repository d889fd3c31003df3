#include "services/grants/grants.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fmt/chrono.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"

namespace bauta::grants {
namespace {

int64_t steady_ms() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             steady_clock::now().time_since_epoch())
      .count();
}

bool covers(const std::string& granted, const std::string& asked) {
  return granted == kEvery || asked.empty() || granted == asked;
}

std::string date(int64_t time_ms) {
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC",
                     fmt::gmtime(static_cast<std::time_t>(time_ms / 1000)));
}

std::string command(const std::string& edge, const std::string& tenant, const std::string& gallery,
                    const std::string& rights) {
  return fmt::format("bauta grants give {}{} --gallery {} --rights {}", edge,
                     tenant.empty() ? "" : " --tenant " + tenant,
                     gallery.empty() ? "GALLERY" : gallery, rights);
}

std::string place(const std::string& tenant, const std::string& gallery) {
  const std::string of_tenant = tenant.empty() ? "" : fmt::format(" of tenant '{}'", tenant);
  return gallery.empty() ? fmt::format("any gallery{}", of_tenant)
                         : fmt::format("gallery '{}'{}", gallery, of_tenant);
}

}  // namespace

Status check_signed(const SignedGrants& grants, const std::vector<TrustedKey>& keys,
                    const std::string& name) {
  for (const TrustedKey& key : keys) {
    if (key.id != grants.signer) continue;
    const Status valid =
        verify_signature(key.public_key, kGrantsPurpose, serialize(grants.list), grants.signature);
    if (valid.ok()) return {};
    return make_error(ErrorCode::corrupt,
                      "{} was changed: its signature is not that of the key service", name);
  }
  return make_error(ErrorCode::corrupt, "{} is signed by {}, which is no signing key known here",
                    name, to_hex(grants.signer));
}

Result<std::unique_ptr<Grants>> Grants::open(std::filesystem::path file, TrustedKeys keys,
                                             uint64_t least_number) {
  std::unique_ptr<Grants> grants(new Grants(std::move(file), std::move(keys), least_number));
  grants->follow();
  std::lock_guard lock(grants->mutex_);
  if (!grants->state_.ok()) return grants->state_.error();
  return grants;
}

Status Grants::read() const {
  const Result<Bytes> bytes = read_file(file_, kMaxGrantsFile_bytes);
  if (!bytes.ok() && bytes.error().code == ErrorCode::not_found) {
    if (least_number_ == 0) return {};
    return make_error(
        ErrorCode::corrupt,
        "{} is missing, of which number {} was made; restore the newest backup of the "
        "whole directory",
        file_.string(), least_number_);
  }
  if (!bytes.ok()) return bytes.error();
  Result<SignedGrants> read = parse_grants(*bytes);
  if (!read.ok())
    return make_error(ErrorCode::corrupt, "{}: {}", file_.string(), read.error().message);
  BAUTA_TRY(const std::vector<TrustedKey> keys, keys_());
  BAUTA_CHECK(check_signed(*read, keys, file_.string()));
  if (read->list.number < least_number_)
    return make_error(ErrorCode::corrupt,
                      "{} has the number {}, and number {} was made: it was replaced by an older "
                      "list; restore the newest backup of the whole directory",
                      file_.string(), read->list.number, least_number_);
  least_number_ = read->list.number;
  newest_ = std::make_shared<SignedGrants>(std::move(*read));
  return {};
}

void Grants::follow() const {
  follow_at_ms_ = steady_ms() + kGrantsFollow_ms;
  struct stat status {};
  const bool there = stat(file_.c_str(), &status) == 0;
  const Version version = there ? Version{static_cast<int64_t>(status.st_ino), status.st_size,
                                          status.st_mtim.tv_sec, status.st_mtim.tv_nsec, 1}
                                : Version{0, 0, 0, 0, errno == ENOENT ? 2 : 3};
  std::lock_guard lock(mutex_);
  if (version == version_) return;
  version_ = version;
  state_ = read();
}

Result<std::shared_ptr<const SignedGrants>> Grants::newest() const {
  if (steady_ms() >= follow_at_ms_) follow();
  std::lock_guard lock(mutex_);
  if (!state_.ok()) return state_.error();
  return newest_;
}

Result<std::shared_ptr<const GrantList>> Grants::list() const {
  BAUTA_TRY(std::shared_ptr<const SignedGrants> held, newest());
  const GrantList* const list = &held->list;
  return std::shared_ptr<const GrantList>(std::move(held), list);
}

uint64_t Grants::number() const {
  std::lock_guard lock(mutex_);
  return newest_->list.number;
}

void Grants::revoke_here(std::set<std::string> edges) {
  std::lock_guard lock(mutex_);
  revoked_here_ = std::move(edges);
}

Status Grants::check_revoked(const GrantList& list, const std::string& edge) const {
  std::lock_guard lock(mutex_);
  if (!list.is_revoked(edge) && !revoked_here_.contains(edge)) return {};
  return make_error(ErrorCode::refused, "the edge {} was revoked; give the device a new edge id",
                    edge);
}

Status Grants::check_not_revoked(const std::string& edge) const {
  BAUTA_TRY(const std::shared_ptr<const GrantList> newest, list());
  return check_revoked(*newest, edge);
}

Status Grants::check_rights(const std::string& edge, const std::string& tenant,
                            const std::string& gallery, uint8_t any_of,
                            const std::string& what) const {
  BAUTA_TRY(const std::shared_ptr<const GrantList> newest, list());
  BAUTA_CHECK(check_revoked(*newest, edge));
  const int64_t now = now_ms();
  int64_t ended_at_ms = 0;
  const auto before = [](const Grant& grant, const std::string& name) { return grant.edge < name; };
  auto grant = std::lower_bound(newest->grants.begin(), newest->grants.end(), edge, before);
  for (; grant != newest->grants.end() && grant->edge == edge; ++grant) {
    if ((grant->rights & any_of) == 0 || !covers(grant->tenant, tenant) ||
        !covers(grant->gallery, gallery))
      continue;
    if (grant->not_after_ms == 0 || now <= grant->not_after_ms) return {};
    ended_at_ms = std::max(ended_at_ms, grant->not_after_ms);
  }
  const std::string ended =
      ended_at_ms == 0 ? "" : fmt::format(": its grant ended on {}", date(ended_at_ms));
  const std::string rights = any_of == kAllRights ? "RIGHTS" : rights_text(any_of);
  return make_error(ErrorCode::refused,
                    "the edge '{}' has no right {}on {}{}; 'bauta grants give' on the key service "
                    "gives it: {}",
                    edge, what, place(tenant, gallery), ended,
                    command(edge, tenant, gallery, rights));
}

Status Grants::check(const std::string& edge, const std::string& tenant, const std::string& gallery,
                     Right right) const {
  return check_rights(edge, tenant, gallery, static_cast<uint8_t>(right),
                      fmt::format("'{}' ", right_name(right)));
}

Status Grants::check_any_right(const std::string& edge, const std::string& tenant,
                               const std::string& gallery) const {
  return check_rights(edge, tenant, gallery, kAllRights, "");
}

Status Grants::check_known(const std::string& edge, const std::string& tenant) const {
  return check_rights(edge, tenant, {}, kAllRights, "");
}

}  // namespace bauta::grants
