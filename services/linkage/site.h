// What the linkage server answers over HTTPS: the pages of web/, and the interface behind them
// (docs/operations/platform.md lists it).
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "services/linkage/linkage_server.h"
#include "services/rest/site.h"

namespace bauta::linkage {

struct SiteOptions {
  std::string public_url;  // how phones reach the pages, e.g. https://localhost:8444
  Digest operator_key{};   // SHA-256 of the operators' API key
};

class LinkageSite final : public rest::Site {
 public:
  LinkageSite(LinkageServer& server, SiteOptions options)
      : server_(server), options_(std::move(options)) {}

  bool receive(const rest::Head& head, rest::Visit& visit, rest::Response& refusal) override;

  // Who may ask; the table of operations says what.
  enum class Access {
    anyone,
    invited,      // with a fresh invitation
    person,       // with the cookie of a session; changes with its CSRF token too
    participant,  // either of the two
    operator_,    // with the operators' API key
  };
  struct Asker {
    std::string invitation;
    Person person;
  };
  struct Call;
  struct Operation;
  struct Handlers;

 private:
  // Whether the head shows what the operation asks for; or the refusal.
  bool admit(const rest::Head& head, const Operation& operation, Asker& asker,
             rest::Response& refusal);
  bool is_person(const rest::Head& head, bool changes, Asker& asker, rest::Response& refusal);

  LinkageServer& server_;
  const SiteOptions options_;
};

// How a registration page is reached with an invitation. The token stands behind '#', so that no
// server and no log sees it before the page sends it.
std::string invitation_url(const std::string& public_url, const std::string& token);

}  // namespace bauta::linkage
