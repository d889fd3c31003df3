#include "services/answer.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include "base/bytes.h"

namespace bauta {
namespace {

// Persistent.
constexpr std::string_view kKeyPurpose = "bauta answer key 1";
constexpr std::string_view kAnswerPurpose = "bauta answer 1";
constexpr size_t kMaxPositions = 1024;

void hmac(ByteView key, ByteView message, uint8_t* code) {
  unsigned size = sizeof(Digest);
  const uint8_t* made = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(),
                             message.size(), code, &size);
  BAUTA_ASSERT(made != nullptr && size == sizeof(Digest));
}

}  // namespace

std::string serialize_outcome(const DecisionOutcome& outcome) {
  ByteWriter writer;
  writer.u8(static_cast<uint8_t>(outcome.decision));
  writer.f64(outcome.evaluation_score);
  writer.u32(outcome.candidates);
  writer.u32(static_cast<uint32_t>(outcome.positions.size()));
  for (const DecisionOutcome::Position& position : outcome.positions) {
    writer.u32(position.block);
    writer.u32(position.coefficient);
  }
  return std::string(as_text(writer.bytes()));
}

Result<DecisionOutcome> parse_outcome(std::string_view bytes) {
  ByteReader reader(as_bytes(bytes), "outcome of a decision");
  DecisionOutcome outcome;
  BAUTA_TRY(const uint8_t decision, reader.u8());
  BAUTA_TRY(outcome.evaluation_score, reader.f64());
  BAUTA_TRY(outcome.candidates, reader.u32());
  BAUTA_TRY(const uint32_t positions, reader.u32());
  if (decision < v1::DECISION_ACCEPTED || decision > v1::DECISION_REFUSED || positions == 0 ||
      positions > kMaxPositions || outcome.candidates > positions)
    return make_error(ErrorCode::corrupt, "the outcome of a decision says {} of {} positions",
                      decision, positions);
  outcome.decision = static_cast<v1::Decision>(decision);
  for (uint32_t i = 0; i < positions; ++i) {
    DecisionOutcome::Position position;
    BAUTA_TRY(position.block, reader.u32());
    BAUTA_TRY(position.coefficient, reader.u32());
    outcome.positions.push_back(position);
  }
  BAUTA_CHECK(reader.finish());
  return outcome;
}

Result<AnswerCode> AnswerCode::create(const SecretBytes& edge_seed) {
  BAUTA_TRY(SecretBytes key, SecretBytes::create(sizeof(Digest)));
  hmac({edge_seed.data(), edge_seed.size()}, as_bytes(kKeyPurpose), key.data());
  return AnswerCode(std::move(key));
}

Digest AnswerCode::code(const Digest& ticket, std::string_view outcome) const {
  ByteWriter writer;
  writer.text(kAnswerPurpose);
  writer.raw(ticket);
  writer.text(outcome);
  Digest code;
  hmac({key_.data(), key_.size()}, writer.bytes(), code.data());
  return code;
}

v1::Answer AnswerCode::make(const Digest& ticket, std::string outcome) const {
  v1::Answer answer;
  answer.set_code(std::string(as_text(code(ticket, outcome))));
  answer.set_outcome(std::move(outcome));
  return answer;
}

Status AnswerCode::check(const Digest& ticket, const v1::Answer& answer) const {
  const Digest expected = code(ticket, answer.outcome());
  if (answer.code().size() != expected.size() ||
      CRYPTO_memcmp(answer.code().data(), expected.data(), expected.size()) != 0)
    return make_error(ErrorCode::refused,
                      "the answer is not the key service's to this request: somebody between it "
                      "and this edge has changed it");
  return {};
}

}  // namespace bauta
