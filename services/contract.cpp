#include "services/contract.h"

#include "base/bytes.h"

namespace bauta {
namespace {

constexpr size_t kMaxText_bytes = 1024;
constexpr double kLowestThreshold = 0.2;

}  // namespace

// Not protobuf's own encoding: its bytes are not promised to be the same in every version.
std::string serialize_contract(const v1::EmbeddingContract& contract) {
  ByteWriter writer;
  writer.text(contract.engine());
  writer.text(contract.model_digest());
  writer.u32(contract.dimension());
  writer.text(contract.metric());
  writer.text(contract.normalisation());
  writer.f64(contract.threshold_verify());
  writer.f64(contract.threshold_identify());
  // Left out where they say nothing, as in contracts from before there were any.
  if (contract.norm_tolerance() != 0) {
    writer.f64(contract.norm_tolerance());
    writer.u8(0);  // said whether norms may be reported; they never are
  }
  return std::string(as_text(writer.bytes()));
}

Result<v1::EmbeddingContract> parse_contract(std::string_view bytes) {
  ByteReader reader(as_bytes(bytes), "embedding contract");
  v1::EmbeddingContract contract;
  BAUTA_TRY(*contract.mutable_engine(), reader.text(kMaxText_bytes));
  BAUTA_TRY(*contract.mutable_model_digest(), reader.text(kMaxText_bytes));
  BAUTA_TRY(const uint32_t dimension, reader.u32());
  contract.set_dimension(dimension);
  BAUTA_TRY(*contract.mutable_metric(), reader.text(kMaxText_bytes));
  BAUTA_TRY(*contract.mutable_normalisation(), reader.text(kMaxText_bytes));
  BAUTA_TRY(const double threshold_verify, reader.f64());
  contract.set_threshold_verify(threshold_verify);
  BAUTA_TRY(const double threshold_identify, reader.f64());
  contract.set_threshold_identify(threshold_identify);
  if (reader.remaining() > 0) {
    BAUTA_TRY(const double norm_tolerance, reader.f64());
    contract.set_norm_tolerance(norm_tolerance);
    BAUTA_TRY(const uint8_t norm_reported, reader.u8());
    if (norm_reported > 1 || norm_tolerance == 0)
      return make_error(ErrorCode::corrupt,
                        "the embedding contract's norm is not written as it is");
  }
  BAUTA_CHECK(reader.finish());
  return contract;
}

Status check_same_contract(const v1::EmbeddingContract& gallery,
                           const v1::EmbeddingContract& offered) {
  const auto differ = [](const char* field, const auto& expected, const auto& actual) {
    return make_error(ErrorCode::mismatch,
                      "the gallery is bound to embeddings with {} {}, but these have {}; use the "
                      "engine that the gallery was created with",
                      field, expected, actual);
  };
  if (gallery.engine() != offered.engine())
    return differ("engine", gallery.engine(), offered.engine());
  if (gallery.dimension() != offered.dimension())
    return differ("dimension", gallery.dimension(), offered.dimension());
  if (gallery.metric() != offered.metric())
    return differ("metric", gallery.metric(), offered.metric());
  if (gallery.model_digest() != offered.model_digest())
    return differ("model digest", to_hex(as_bytes(gallery.model_digest())),
                  to_hex(as_bytes(offered.model_digest())));
  if (serialize_contract(gallery) != serialize_contract(offered))
    return differ("normalisation and thresholds",
                  fmt::format("{} {} {} {}", gallery.normalisation(), gallery.threshold_verify(),
                              gallery.threshold_identify(), gallery.norm_tolerance()),
                  fmt::format("{} {} {} {}", offered.normalisation(), offered.threshold_verify(),
                              offered.threshold_identify(), offered.norm_tolerance()));
  return {};
}

Digest contract_digest(const v1::EmbeddingContract& contract) {
  return sha256(as_bytes(serialize_contract(contract)));
}

Status check_judgeable(const v1::EmbeddingContract& contract) {
  const auto check = [](const char* name, double threshold) -> Status {
    if (threshold >= kLowestThreshold && threshold < 1) return {};
    return make_error(ErrorCode::invalid_argument,
                      "the contract's threshold for {} is {}; the key service decides by "
                      "thresholds from {} to below 1",
                      name, threshold, kLowestThreshold);
  };
  BAUTA_CHECK(check("verification", contract.threshold_verify()));
  BAUTA_CHECK(check("identification", contract.threshold_identify()));
  const double tolerance = contract.norm_tolerance();
  if (!(tolerance >= 0 && tolerance <= kMaxNormTolerance))
    return make_error(ErrorCode::invalid_argument,
                      "the contract's norm tolerance is {}; it may be 0 to {:.2f}", tolerance,
                      kMaxNormTolerance);
  return {};
}

}  // namespace bauta
