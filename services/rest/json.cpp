#include "services/rest/json.h"

#include <cmath>

namespace bauta::rest {

Json to_json(const edge::Timings& timings) {
  const auto rounded = [](double value) { return std::round(value * 1000) / 1000; };
  return {{"detect_align", rounded(timings.detect_align)},
          {"extract", rounded(timings.extract)},
          {"encrypt", rounded(timings.encrypt)},
          {"match", rounded(timings.match)},
          {"decide", rounded(timings.decide)},
          {"total", rounded(timings.total)}};
}

Json to_json(const v1::Gallery& gallery) {
  const v1::EmbeddingContract& contract = gallery.contract();
  return {{"gallery", gallery.gallery()},
          {"subjects", gallery.subjects()},
          {"references", gallery.references()},
          {"erased", gallery.erased()},
          {"damaged_segments", gallery.damaged_segments()},
          {"key_id", gallery.key_id()},
          {"contract",
           {{"engine", contract.engine()},
            {"model_digest", to_hex(as_bytes(contract.model_digest()))},
            {"dimension", contract.dimension()},
            {"metric", contract.metric()},
            {"threshold_verify", contract.threshold_verify()},
            {"threshold_identify", contract.threshold_identify()}}}};
}

const char* decision_name(v1::Decision decision) {
  switch (decision) {
    case v1::DECISION_ACCEPTED:
      return "accepted";
    case v1::DECISION_REJECTED:
      return "rejected";
    default:
      return "failed";
  }
}

}  // namespace bauta::rest
