#include "apps/cli/arguments.h"
#include "apps/cli/deployment.h"
#include "services/key/edge_keys.h"

namespace bauta::cli {
namespace {

Json to_json(const keys::KeyRecord& key) {
  return {{"key_id", to_hex(key.id)},     {"tenant", key.tenant},
          {"generation", key.generation}, {"state", keys::key_state_name(key.state())},
          {"evaluation", key.evaluation}, {"created_at_s", key.created_at_s}};
}

}  // namespace

Result<Report> keys_init(const CommonOptions& common, const KeysInitOptions& options) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment,
            Deployment::initialise(common, options.tenant, options.evaluation));
  BAUTA_TRY(const keys::KeyRecord key, deployment->key().store().active(options.tenant));
  if (key.evaluation != options.evaluation)
    return make_error(ErrorCode::already_exists,
                      "tenant {} has the active key {}, which was {}created for evaluation; choose "
                      "another tenant",
                      key.tenant, to_hex(key.id), key.evaluation ? "" : "not ");
  return Report{to_json(key),
                fmt::format("tenant {}: key {} (generation {}) is active in the token {}\n",
                            key.tenant, to_hex(key.id), key.generation, common.token.string())};
}

Result<Report> keys_redeliver(const CommonOptions& common, const RedeliverOptions& options) {
  BAUTA_TRY(const size_t deliveries,
            key::forget_deliveries(common.data / "key" / "delivered", options.edge));
  return Report{
      {{"edge", options.edge}, {"deliveries_forgotten", deliveries}},
      fmt::format("edge {} may have its {} key(s) once more\n", options.edge, deliveries)};
}

Result<Report> keys_status(const CommonOptions& common) {
  BAUTA_TRY(const std::unique_ptr<Deployment> deployment, Deployment::open(common));
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, deployment->key().store().list());
  Report report;
  report.json = Json::array();
  for (const keys::KeyRecord& key : records) {
    report.json.push_back(to_json(key));
    report.text += fmt::format("{:<20} {:>4}  {:<12} {}{}\n", key.tenant, key.generation,
                               keys::key_state_name(key.state()), to_hex(key.id),
                               key.evaluation ? "  (evaluation)" : "");
  }
  return report;
}

}  // namespace bauta::cli
