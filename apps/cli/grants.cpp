// What edges may do: `bauta grants`. Works on the key service's directory, beside a running one,
// which notices, as does every authentication server within a second.

#include <fmt/chrono.h>

#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"
#include "base/clock.h"

namespace bauta::cli {
namespace {

constexpr int64_t kDay_ms = 86'400'000;

std::string end_of(const grants::Grant& grant) {
  if (grant.not_after_ms == 0) return "";
  const auto seconds = static_cast<std::time_t>(grant.not_after_ms / 1000);
  return fmt::format("  {} {:%Y-%m-%d %H:%M:%S} UTC",
                     grant.not_after_ms < now_ms() ? "ended on" : "until", fmt::gmtime(seconds));
}

Json rights_json(uint8_t rights) {
  Json names = Json::array();
  for (const grants::Right right :
       {grants::Right::recognise, grants::Right::enrol, grants::Right::erase, grants::Right::admin})
    if ((rights & static_cast<uint8_t>(right)) != 0) names.push_back(grants::right_name(right));
  return names;
}

Json to_json(const grants::Grant& grant) {
  Json json = {{"edge", grant.edge},
               {"tenant", grant.tenant},
               {"gallery", grant.gallery},
               {"rights", rights_json(grant.rights)},
               {"number", grant.number}};
  json["not_after_ms"] = grant.not_after_ms == 0 ? Json() : Json(grant.not_after_ms);
  return json;
}

Json to_json(const std::vector<grants::Grant>& list) {
  Json json = Json::array();
  for (const grants::Grant& grant : list) json.push_back(to_json(grant));
  return json;
}

std::string to_text(const grants::Grant& grant) {
  return fmt::format("{:<20} {:<16} {:<20} {}{}\n", grant.edge, grant.tenant, grant.gallery,
                     grants::rights_text(grant.rights), end_of(grant));
}

// What the edge may still do after one of its grants was taken.
Result<std::vector<grants::Grant>> grants_left(key::KeyServer& key, const std::string& edge) {
  BAUTA_TRY(const std::shared_ptr<const grants::GrantList> list, key.grants().list());
  std::vector<grants::Grant> left;
  for (const grants::Grant& grant : list->grants)
    if (grant.edge == edge) left.push_back(grant);
  return left;
}

}  // namespace

Result<Report> grants_list(const CommonOptions& common) {
  BAUTA_TRY(const std::unique_ptr<key::KeyServer> key, open_key_service(common));
  BAUTA_TRY(const std::shared_ptr<const grants::GrantList> list, key->grants().list());
  Report report{
      {{"number", list->number}, {"grants", to_json(list->grants)}, {"revoked", list->revoked}},
      list->grants.empty() ? "no edge has a grant\n" : ""};
  for (const grants::Grant& grant : list->grants) report.text += to_text(grant);
  for (const std::string& edge : list->revoked)
    report.text += fmt::format("{:<20} is revoked\n", edge);
  return report;
}

Result<Report> grants_give(const CommonOptions& common, const GrantsGiveOptions& options) {
  BAUTA_TRY(const uint8_t rights, grants::parse_rights(options.rights));
  grants::Grant grant{options.edge, options.tenant, options.gallery, rights};
  if (options.days != 0) grant.not_after_ms = now_ms() + options.days * kDay_ms;
  BAUTA_TRY(const std::unique_ptr<key::KeyServer> key, open_key_service(common));
  BAUTA_CHECK(key->grant_book().give(grant));
  grant.number = key->grants().number();
  return Report{to_json(grant), to_text(grant)};
}

Result<Report> grants_take(const CommonOptions& common, const GrantsTakeOptions& options) {
  BAUTA_TRY(const std::unique_ptr<key::KeyServer> key, open_key_service(common));
  BAUTA_TRY(const std::vector<grants::Grant> taken,
            key->grant_book().take(options.edge, options.tenant, options.gallery));
  BAUTA_TRY(const std::vector<grants::Grant> left, grants_left(*key, options.edge));
  Report report{{{"edge", options.edge}, {"taken", to_json(taken)}, {"left", to_json(left)}}, ""};
  for (const grants::Grant& grant : taken) report.text += "taken: " + to_text(grant);
  for (const grants::Grant& grant : left) report.text += "left:  " + to_text(grant);
  return report;
}

}  // namespace bauta::cli
