// What the linkage server knows of persons: opaque ids, digests of their sessions, and where they
// are enrolled under which subject. No image, no attribute, no name. SQLite, one file
// (docs/formats/storage.md).
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "store/sqlite.h"

namespace bauta::linkage {

// Persistent, append only.
enum class PersonState : int { registering = 1, registered = 2, deleting = 3 };
enum class LinkState : int { enrolling = 1, enrolled = 2, failed = 3, erasing = 4 };
const char* link_state_name(LinkState state);

struct Person {
  std::string id;
  PersonState state = PersonState::registering;
  int64_t created_at_ms = 0;
};

// A person's enrolment at one engine for one purpose.
struct Link {
  std::string person, engine, purpose;
  std::string subject;  // under which that engine knows the person; random, of this link alone
  LinkState state = LinkState::enrolling;
  bool uncertain = false;  // the engine was asked to enrol, and its answer is not known
  std::string note;        // why it failed; a sentence for the person
  int64_t changed_at_ms = 0;
};

// Thread-safe. Changes are durable when they return. Errors beside those named: as
// store::Connection's.
class Registry {
 public:
  static Result<std::unique_ptr<Registry>> open(const std::filesystem::path& file);

  // --- Invitations, by the digest of their token.
  Status add_invitation(const Digest& token, int64_t expires_at_ms);
  // Whether it can be used; at_ms is now.
  Result<bool> is_open(const Digest& invitation, int64_t at_ms);

  // --- Persons
  // Uses the invitation up and adds the person in state `registering`. Error refused: the
  // invitation is unknown, used or expired.
  Status begin_registration(const Digest& invitation, const std::string& person,
                            const Digest& session, int64_t at_ms);
  Status finish_registration(const std::string& person);
  Result<std::optional<Person>> find_session(const Digest& session);
  Result<std::vector<Person>> persons(PersonState state);
  Status set_deleting(const std::string& person);  // and all links `erasing`
  // The person with its invitation; its links are gone already. Fine if it is not there.
  Status remove_person(const std::string& person);

  // --- Links
  // Errors: already_exists, unless the one that is there has failed; refused when the person is not
  // registered, or no longer.
  Status add_link(const Link& link);
  // The link may have changed meanwhile: only one that still has this subject is changed. Returns
  // whether it did.
  Result<bool> set_link(const Link& link);
  Status remove_link(const Link& link);
  Result<std::vector<Link>> links_of(const std::string& person);
  Result<std::optional<Link>> find_link(const std::string& person, const std::string& engine,
                                        const std::string& purpose);
  // Those to work on: enrolling or erasing.
  Result<std::vector<Link>> unfinished_links();
  Result<std::vector<Link>> all_links();

 private:
  explicit Registry(store::Connection connection) : connection_(std::move(connection)) {}
  Result<std::vector<Link>> read_links(std::string_view condition,
                                       std::initializer_list<store::Value> values);

  std::mutex mutex_;  // of the connection
  store::Connection connection_;
};

// Adds an invitation and returns its token, which is kept nowhere.
Result<std::string> new_invitation(Registry& registry, int64_t valid_s);

}  // namespace bauta::linkage
