#include "services/key/oversight.h"

#include "services/key/decision_log.h"

namespace bauta::key {

Result<v1::ListKeysReply> Oversight::list_keys(const v1::ListKeysRequest& request) {
  BAUTA_TRY(const std::vector<keys::KeyRecord> records, store_.list());
  v1::ListKeysReply reply;
  for (const keys::KeyRecord& record : records) {
    if (record.tenant != request.tenant()) continue;
    v1::KeyStatus& key = *reply.add_keys();
    key.set_key_id(to_hex(record.id));
    key.set_generation(record.generation);
    key.set_state(keys::key_state_name(record.state()));
    key.set_since_s(record.in_state_since_s());
  }
  return reply;
}

Result<v1::CheckDecisionsReply> Oversight::check_decisions(const v1::CheckDecisionsRequest&) {
  BAUTA_TRY(const std::vector<keys::SigningKey> signing_keys, store_.signing_keys());
  BAUTA_TRY(const LogVerification verified, verify_log(directory_, signing_keys));
  v1::CheckDecisionsReply reply;
  reply.set_records(verified.head.sequence);
  reply.set_signed_records(verified.signed_records);
  return reply;
}

}  // namespace bauta::key
