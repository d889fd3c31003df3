// An edge that encrypts whatever it likes under its own, legally issued key.
#pragma once

#include "match/template_ciphertext.h"
#include "secret/encryption.h"
#include "tests/system/parties.h"

namespace bauta {

class MaliciousEdge {
 public:
  MaliciousEdge(Parties& parties, std::string edge_id)
      : parameters(*match::Parameters::create(kTestDimension)),
        edge_id_(std::move(edge_id)),
        auth_(*parties.auth),
        key_(issue(parties, edge_id_)),
        signer_(
            *TicketSigner::create(*parties.key->issue_edge_seed(parties.tenant_key(), edge_id_))) {}

  using Coefficients = std::vector<int64_t>;  // N of them

  // A template in the form of its kind, times a factor.
  Coefficients encode_probe(const face::Embedding& embedding, double factor = 1) const {
    Coefficients coefficients(match::kDegree);
    for (size_t i = 0; i < embedding.size(); ++i) {
      const auto value = std::llround(factor * parameters.probe_scale() * embedding[i]);
      (i == 0 ? coefficients[0] : coefficients[match::kDegree - i * parameters.stride()]) =
          i == 0 ? value : -value;
    }
    return coefficients;
  }
  Coefficients encode_reference(const face::Embedding& embedding, double factor = 1) const {
    Coefficients coefficients(match::kDegree);
    for (size_t i = 0; i < embedding.size(); ++i)
      coefficients[i * parameters.stride()] =
          std::llround(factor * parameters.reference_scale() * embedding[i]);
    return coefficients;
  }

  Result<v1::IdentifyReply> identify(const Coefficients& probe) {
    v1::IdentifyRequest request;
    request.set_gallery("gallery");
    request.set_edge_id(edge_id_);
    *request.mutable_contract() = edge::to_proto(FakeEngine().contract());
    request.set_probe(std::string(
        as_text(match::serialize_probe(parameters, encrypt(probe, parameters.probe_scale())))));
    *request.mutable_ticket() =
        *signer_.sign({edge_id_, "gallery", false, sha256(as_bytes(request.probe()))});
    return auth_.identify(request);
  }

  Result<v1::EnrolReply> enrol(const std::string& subject, const Coefficients& reference) {
    v1::EnrolRequest request;
    request.set_gallery("gallery");
    request.set_subject(subject);
    request.set_edge_id(edge_id_);
    *request.mutable_contract() = edge::to_proto(FakeEngine().contract());
    request.add_references(std::string(as_text(
        match::serialize_reference(parameters, encrypt(reference, parameters.reference_scale())))));
    return auth_.enrol(request);
  }

  const match::Parameters parameters;

 private:
  static secret::SecretKey issue(Parties& parties, const std::string& edge_id) {
    EXPECT_TRUE(parties.auth->admit_edge(parties.tenant_key(), edge_id, kTestDimension).ok());
    return std::move(parties.key->issue_edge_key(parties.tenant_key(), edge_id, kTestDimension))
        .value();
  }
  ckks::SeededCiphertext encrypt(const Coefficients& coefficients, double scale) {
    return secret::encrypt(key_, ckks::Message{coefficients, scale}, 2).value();
  }

  std::string edge_id_;
  auth::AuthServer& auth_;
  secret::SecretKey key_;
  TicketSigner signer_;
};

}  // namespace bauta
