#include "services/linkage/registry.h"

#include "base/clock.h"
#include "base/random.h"
#include "store/schema.h"

namespace bauta::linkage {
namespace {

constexpr int kBusyTimeout_ms = 5'000;
constexpr size_t kInvitation_bytes = 32;

constexpr const char* kSteps[] = {
    R"sql(
CREATE TABLE person (
  id TEXT PRIMARY KEY,
  state INTEGER NOT NULL,
  session BLOB NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE invitation (
  digest BLOB PRIMARY KEY,
  expires_at_ms INTEGER NOT NULL,
  person TEXT
) STRICT;
CREATE TABLE link (
  person TEXT NOT NULL REFERENCES person (id),
  engine TEXT NOT NULL,
  purpose TEXT NOT NULL,
  subject TEXT NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  uncertain INTEGER NOT NULL,
  note TEXT NOT NULL,
  changed_at_ms INTEGER NOT NULL,
  PRIMARY KEY (person, engine, purpose)
) STRICT;
)sql",
};

int64_t number(auto state) {
  return static_cast<int64_t>(state);
}

Person read_person(const store::Statement& row) {
  return {std::string(row.text(0)), static_cast<PersonState>(row.integer(1)), row.integer(2)};
}

}  // namespace

Result<std::string> new_invitation(Registry& registry, int64_t valid_s) {
  std::string token = random_hex(kInvitation_bytes);
  BAUTA_CHECK(registry.add_invitation(sha256(as_bytes(token)), now_ms() + 1'000 * valid_s));
  return token;
}

const char* link_state_name(LinkState state) {
  switch (state) {
    case LinkState::enrolling:
      return "enrolling";
    case LinkState::enrolled:
      return "enrolled";
    case LinkState::failed:
      return "failed";
    case LinkState::erasing:
      return "erasing";
  }
  return "unknown";
}

Result<std::unique_ptr<Registry>> Registry::open(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) BAUTA_CHECK(store::create_catalogue(file, kSteps));
  BAUTA_TRY(store::Connection connection, store::open_catalogue(file, kBusyTimeout_ms, kSteps));
  return std::unique_ptr<Registry>(new Registry(std::move(connection)));
}

// --- Invitations

Status Registry::add_invitation(const Digest& token, int64_t expires_at_ms) {
  std::lock_guard lock(mutex_);
  return connection_.run("INSERT INTO invitation VALUES (?1, ?2, NULL)",
                         {ByteView(token), expires_at_ms});
}

Result<bool> Registry::is_open(const Digest& invitation, int64_t at_ms) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(const int64_t found,
            connection_.query_integer("SELECT count(*) FROM invitation WHERE digest = ?1 AND "
                                      "expires_at_ms > ?2 AND person IS NULL",
                                      {ByteView(invitation), at_ms}));
  return found > 0;
}

// --- Persons

Status Registry::begin_registration(const Digest& invitation, const std::string& person,
                                    const Digest& session, int64_t at_ms) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Transaction transaction, store::Transaction::begin(connection_));
  BAUTA_CHECK(
      connection_.run("UPDATE invitation SET person = ?3 WHERE digest = ?1 AND "
                      "expires_at_ms > ?2 AND person IS NULL",
                      {ByteView(invitation), at_ms, person}));
  if (connection_.changed_rows() == 0)
    return make_error(ErrorCode::refused,
                      "this invitation was used before or has expired; ask for another");
  BAUTA_CHECK(
      connection_.run("INSERT INTO person VALUES (?1, ?2, ?3, ?4)",
                      {person, number(PersonState::registering), ByteView(session), at_ms}));
  return transaction.commit();
}

Status Registry::finish_registration(const std::string& person) {
  std::lock_guard lock(mutex_);
  return connection_.run(
      "UPDATE person SET state = ?2 WHERE id = ?1 AND state = ?3",
      {person, number(PersonState::registered), number(PersonState::registering)});
}

Result<std::optional<Person>> Registry::find_session(const Digest& session) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            connection_.prepare("SELECT id, state, created_at_ms FROM person WHERE session = ?1",
                                {ByteView(session)}));
  BAUTA_TRY(const bool found, row.step());
  return found ? std::optional(read_person(row)) : std::nullopt;
}

Result<std::vector<Person>> Registry::persons(PersonState state) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            connection_.prepare("SELECT id, state, created_at_ms FROM person WHERE state = ?1 "
                                "ORDER BY created_at_ms",
                                {number(state)}));
  std::vector<Person> found;
  while (true) {
    BAUTA_TRY(const bool more, row.step());
    if (!more) return found;
    found.push_back(read_person(row));
  }
}

Status Registry::set_deleting(const std::string& person) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Transaction transaction, store::Transaction::begin(connection_));
  BAUTA_CHECK(connection_.run("UPDATE person SET state = ?2 WHERE id = ?1",
                              {person, number(PersonState::deleting)}));
  BAUTA_CHECK(connection_.run(
      "UPDATE link SET state = ?2, changed_at_ms = ?3 WHERE person = ?1 AND state <> ?2",
      {person, number(LinkState::erasing), now_ms()}));
  return transaction.commit();
}

Status Registry::remove_person(const std::string& person) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Transaction transaction, store::Transaction::begin(connection_));
  BAUTA_CHECK(connection_.run("DELETE FROM invitation WHERE person = ?1", {person}));
  BAUTA_CHECK(connection_.run("DELETE FROM person WHERE id = ?1", {person}));
  return transaction.commit();
}

// --- Links

Status Registry::add_link(const Link& link) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Transaction transaction, store::Transaction::begin(connection_));
  BAUTA_TRY(const int64_t registered,
            connection_.query_integer("SELECT count(*) FROM person WHERE id = ?1 AND state = ?2",
                                      {link.person, number(PersonState::registered)}));
  if (registered == 0) return make_error(ErrorCode::refused, "this registration is being deleted");
  BAUTA_CHECK(
      connection_.run("DELETE FROM link WHERE person = ?1 AND engine = ?2 AND "
                      "purpose = ?3 AND state = ?4",
                      {link.person, link.engine, link.purpose, number(LinkState::failed)}));
  BAUTA_TRY(const int64_t there,
            connection_.query_integer(
                "SELECT count(*) FROM link WHERE person = ?1 AND engine = ?2 AND purpose = ?3",
                {link.person, link.engine, link.purpose}));
  if (there > 0)
    return make_error(ErrorCode::already_exists, "you have opted in to {} for {} already",
                      link.engine, link.purpose);
  BAUTA_CHECK(connection_.run("INSERT INTO link VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                              {link.person, link.engine, link.purpose, link.subject,
                               number(link.state), number(link.uncertain), link.note, now_ms()}));
  return transaction.commit();
}

Result<bool> Registry::set_link(const Link& link) {
  std::lock_guard lock(mutex_);
  BAUTA_CHECK(connection_.run(
      "UPDATE link SET state = ?2, uncertain = ?3, note = ?4, "
      "changed_at_ms = ?5 WHERE subject = ?1",
      {link.subject, number(link.state), number(link.uncertain), link.note, now_ms()}));
  return connection_.changed_rows() > 0;
}

Status Registry::remove_link(const Link& link) {
  std::lock_guard lock(mutex_);
  return connection_.run("DELETE FROM link WHERE subject = ?1", {link.subject});
}

Result<std::vector<Link>> Registry::read_links(std::string_view condition,
                                               std::initializer_list<store::Value> values) {
  std::lock_guard lock(mutex_);
  BAUTA_TRY(store::Statement row,
            connection_.prepare(fmt::format("SELECT person, engine, purpose, subject, state, "
                                            "uncertain, note, changed_at_ms FROM link {} "
                                            "ORDER BY changed_at_ms",
                                            condition),
                                values));
  std::vector<Link> links;
  while (true) {
    BAUTA_TRY(const bool more, row.step());
    if (!more) return links;
    links.push_back({std::string(row.text(0)), std::string(row.text(1)), std::string(row.text(2)),
                     std::string(row.text(3)), static_cast<LinkState>(row.integer(4)),
                     row.integer(5) != 0, std::string(row.text(6)), row.integer(7)});
  }
}

Result<std::vector<Link>> Registry::links_of(const std::string& person) {
  return read_links("WHERE person = ?1", {person});
}

Result<std::optional<Link>> Registry::find_link(const std::string& person,
                                                const std::string& engine,
                                                const std::string& purpose) {
  BAUTA_TRY(
      const std::vector<Link> links,
      read_links("WHERE person = ?1 AND engine = ?2 AND purpose = ?3", {person, engine, purpose}));
  return links.empty() ? std::nullopt : std::optional(links.front());
}

Result<std::vector<Link>> Registry::unfinished_links() {
  return read_links("WHERE state = ?1 OR state = ?2",
                    {number(LinkState::enrolling), number(LinkState::erasing)});
}

Result<std::vector<Link>> Registry::all_links() {
  return read_links("", {});
}

}  // namespace bauta::linkage
