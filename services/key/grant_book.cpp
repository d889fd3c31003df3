#include "services/key/grant_book.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "base/file.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChangeWait_ms = 10'000;

fs::path grants_path(const fs::path& directory) {
  return directory / "grants";
}

// The key id of such a record says the list's number, the rights and their end (GrantRecord).
LogEntry entry_of(LogEvent event, const grants::Grant& grant, uint64_t number) {
  LogEntry entry;
  entry.event = event;
  entry.outcome = LogOutcome::accepted;
  entry.key = GrantRecord{number, grant.rights, grant.not_after_ms}.pack();
  entry.gallery = grant.gallery;
  entry.edge_id = grant.edge;
  return entry;
}

Status check_grant(const grants::Grant& grant) {
  BAUTA_CHECK(grants::check_grant_name("edge", grant.edge));
  if (grant.tenant != grants::kEvery) BAUTA_CHECK(grants::check_grant_name("tenant", grant.tenant));
  if (grant.gallery != grants::kEvery)
    BAUTA_CHECK(grants::check_grant_name("gallery", grant.gallery));
  if (grant.rights == 0 || grant.rights > grants::kAllRights || grant.not_after_ms < 0)
    return make_error(ErrorCode::invalid_argument, "a grant needs one of the four rights");
  return {};
}

// What the records of deliveries say.
struct Delivered {
  std::map<std::string, std::string> tenants;  // by edge; kEvery for an edge of several
  std::set<std::string> revoked;
};

Result<Delivered> read_deliveries(const fs::path& directory, keys::KeyStore& store) {
  Delivered delivered;
  std::error_code failed;
  if (!fs::is_directory(directory, failed)) return delivered;
  const auto is_edge = [](const std::string& name) {
    return grants::check_grant_name("edge", name).ok();
  };
  if (fs::is_directory(directory / "revoked", failed))
    for (const auto& entry : fs::directory_iterator(directory / "revoked", failed))
      if (is_edge(entry.path().filename())) delivered.revoked.insert(entry.path().filename());
  failed.clear();
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string name = entry.path().filename();
    const std::string edge = name.substr(std::min(name.size(), name.find('.') + 1));
    if (entry.is_directory() || !is_edge(edge) || delivered.revoked.contains(edge)) continue;
    const Result<keys::KeyId> id = parse_key_id(name.substr(0, name.find('.')));
    if (!id.ok()) continue;
    const Result<keys::KeyRecord> key = store.find(*id);
    if (!key.ok()) continue;
    std::string& tenant = delivered.tenants.try_emplace(edge, key->tenant).first->second;
    if (tenant != key->tenant) tenant.assign(1, grants::kEvery.front());
  }
  if (failed)
    return make_error(ErrorCode::unavailable, "cannot read {}: {}", directory.string(),
                      failed.message());
  return delivered;
}

}  // namespace

Result<std::vector<grants::TrustedKey>> trusted_keys(keys::KeyStore& store) {
  BAUTA_TRY(const std::vector<keys::SigningKey> keys, store.signing_keys());
  std::vector<grants::TrustedKey> trusted;
  for (const keys::SigningKey& key : keys) trusted.push_back({key.id, key.public_key});
  return trusted;
}

Result<std::unique_ptr<GrantBook>> GrantBook::open(keys::KeyStore& store, Ledger& ledger,
                                                   const fs::path& directory) {
  std::unique_ptr<GrantBook> book(new GrantBook(store, ledger, directory));
  const auto keys = [&store] { return trusted_keys(store); };
  BAUTA_TRY(book->grants_,
            grants::Grants::open(grants_path(directory), keys, ledger.grants().number));
  // A process that ended between the list and its record.
  if (book->grants_->number() > ledger.grants().number) {
    BAUTA_CHECK(
        book->record({entry_of(LogEvent::grant_taken, grants::Grant{}, book->grants_->number())}));
  }
  return book;
}

Status GrantBook::record(std::vector<LogEntry> entries) {
  return ledger_.log().update([&]() -> Result<std::vector<LogEntry>> { return entries; });
}

Status GrantBook::update(const std::function<Result<Change>(grants::GrantList&)>& change) {
  BAUTA_TRY(const FileLock alone,
            FileLock::acquire(grants_path(directory_) += ".lock", kChangeWait_ms));
  grants_->follow();
  BAUTA_TRY(const std::shared_ptr<const grants::GrantList> newest, grants_->list());
  grants::SignedGrants next{*newest, {}, {}};
  ++next.list.number;
  BAUTA_TRY(Change done, change(next.list));
  if (!done.changed) return {};
  BAUTA_TRY(const keys::SignedBy by, store_.sign(grants::kGrantsPurpose, serialize(next.list)));
  next.signer = by.key;
  next.signature = by.signature;
  // The list before its record: an interruption in between is made good by open().
  BAUTA_CHECK(write_file_atomically(grants_path(directory_), serialize(next), 0600));
  grants_->follow();
  return record(std::move(done.entries));
}

Status GrantBook::give(const grants::Grant& grant) {
  BAUTA_CHECK(check_grant(grant));
  return update([&](grants::GrantList& list) -> Result<Change> {
    grants::Grant numbered = grant;
    numbered.number = list.number;
    BAUTA_CHECK(list.give(numbered));
    return Change{true, {entry_of(LogEvent::grant_given, numbered, list.number)}};
  });
}

Result<std::vector<grants::Grant>> GrantBook::take(const std::string& edge,
                                                   const std::string& tenant,
                                                   const std::string& gallery) {
  std::vector<grants::Grant> taken;
  BAUTA_CHECK(update([&](grants::GrantList& list) -> Result<Change> {
    taken = list.take(edge, tenant, gallery);
    if (taken.empty())
      return make_error(ErrorCode::not_found,
                        "the edge '{}' has no such grant; 'bauta grants list' shows them", edge);
    Change change{true, {}};
    for (const grants::Grant& grant : taken)
      change.entries.push_back(entry_of(LogEvent::grant_taken, grant, list.number));
    return change;
  }));
  return taken;
}

Status GrantBook::revoke(const std::string& edge) {
  BAUTA_CHECK(grants::check_grant_name("edge", edge));
  return update([&](grants::GrantList& list) -> Result<Change> {
    if (list.is_revoked(edge)) return Change{};
    if (list.revoked.size() >= grants::kMaxRevoked)
      return make_error(ErrorCode::no_space, "{} edges are revoked already; no more can be",
                        list.revoked.size());
    list.revoke(edge);
    grants::Grant of_edge;
    of_edge.edge = edge;
    return Change{true, {entry_of(LogEvent::edge_revoked, of_edge, list.number)}};
  });
}

Result<bool> GrantBook::give_first(const std::vector<grants::Grant>& of_edge) {
  BAUTA_ASSERT(!of_edge.empty());
  if (ledger_.grants().edges.contains(of_edge.front().edge)) return false;
  for (const grants::Grant& grant : of_edge) BAUTA_CHECK(check_grant(grant));
  const auto give_all = [&](grants::GrantList& list) -> Result<Change> {
    Change change{true, {}};
    for (grants::Grant grant : of_edge) {
      grant.number = list.number;
      BAUTA_CHECK(list.give(grant));
      change.entries.push_back(entry_of(LogEvent::grant_given, grant, list.number));
    }
    return change;
  };
  BAUTA_CHECK(update(give_all));
  return true;
}

Status GrantBook::take_over_deliveries() {
  if (ledger_.grants().number != 0) return {};
  BAUTA_TRY(const Delivered delivered, read_deliveries(directory_ / "delivered", store_));
  if (delivered.tenants.empty() && delivered.revoked.empty()) return {};
  const auto take_over = [&](grants::GrantList& list) -> Result<Change> {
    Change change{true, {}};
    for (const std::string& edge : delivered.revoked) {
      list.revoke(edge);
      grants::Grant of_edge;
      of_edge.edge = edge;
      change.entries.push_back(entry_of(LogEvent::edge_revoked, of_edge, list.number));
    }
    for (const auto& [edge, tenant] : delivered.tenants) {
      const grants::Grant grant{edge, tenant,     std::string(grants::kEvery), grants::kAllRights,
                                0,    list.number};
      BAUTA_CHECK(list.give(grant));
      change.entries.push_back(entry_of(LogEvent::grant_given, grant, list.number));
    }
    return change;
  };
  BAUTA_CHECK(update(take_over));
  for (const std::string& edge : delivered.revoked)
    fmt::print(stderr, "bauta: edge '{}' was revoked before there were grants, and stays so\n",
               edge);
  for (const auto& [edge, tenant] : delivered.tenants)
    fmt::print(stderr,
               "bauta: edge '{}' keeps what it could do before there were grants: everything in "
               "tenant '{}'; 'bauta grants' narrows it\n",
               edge, tenant);
  return {};
}

Result<v1::GetGrantsReply> make_grants_reply(keys::KeyStore& store, const GrantBook& book,
                                             const v1::GetGrantsRequest& request) {
  v1::GetGrantsReply reply;
  BAUTA_TRY(const std::shared_ptr<const grants::SignedGrants> newest, book.grants().newest());
  reply.set_number(newest->list.number);
  if (newest->list.number > request.after_number()) {
    const Bytes bytes = serialize(*newest);
    reply.set_grants(std::string(as_text(bytes)));
  }
  BAUTA_TRY(const std::vector<grants::TrustedKey> signers, trusted_keys(store));
  for (const grants::TrustedKey& signer : signers) {
    v1::GrantSigner& proto = *reply.add_signers();
    proto.set_id(std::string(as_text(signer.id)));
    proto.set_public_key(std::string(as_text(signer.public_key)));
  }
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, store.list());
  for (const keys::KeyRecord& record : records) {
    v1::TenantKey& proto = *reply.add_keys();
    proto.set_key_id(to_hex(record.id));
    proto.set_tenant(record.tenant);
  }
  return reply;
}

}  // namespace bauta::key
