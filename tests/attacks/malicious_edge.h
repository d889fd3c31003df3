// An edge that encrypts whatever it likes under its own, legally issued key.
#pragma once

#include "match/template_ciphertext.h"
#include "secret/encryption.h"
#include "services/contract.h"
#include "tests/system/parties.h"

namespace bauta {

// Signs tickets for whatever it is asked to, as an edge on the attacker's side does.
class WillingSigner {
 public:
  WillingSigner(Parties& parties, const std::string& edge_id)
      : edge_id_(edge_id),
        key_id_(parties.tenant_key()),
        signer_(*TicketSigner::create(*parties.key->issue_edge_seed(key_id_, edge_id))) {}

  TicketScope scope(TicketKind kind) const {
    TicketScope scope;
    scope.kind = kind;
    scope.edge_id = edge_id_;
    scope.gallery = "gallery";
    scope.key_id = key_id_;
    scope.contract = contract_digest(edge::to_proto(FakeEngine().contract()));
    return scope;
  }
  v1::Ticket sign(const TicketScope& scope) const { return *signer_.sign(scope); }
  // As an authentication server repeats it.
  v1::Origin origin(const TicketScope& scope) const {
    v1::Origin origin;
    origin.set_gallery(scope.gallery);
    origin.set_edge_id(scope.edge_id);
    origin.set_ciphertexts(std::string(as_text(scope.ciphertexts)));
    if (scope.kind != TicketKind::identification)
      origin.set_subject(std::string(as_text(scope.subject)));
    origin.set_image(scope.image);
    *origin.mutable_ticket() = sign(scope);
    return origin;
  }

 private:
  std::string edge_id_, key_id_;
  TicketSigner signer_;
};

class MaliciousEdge {
 public:
  MaliciousEdge(Parties& parties, std::string edge_id)
      : parameters(*match::Parameters::create(kTestDimension)),
        edge_id_(std::move(edge_id)),
        auth_(*parties.auth),
        key_(issue(parties, edge_id_)),
        signer_(parties, edge_id_) {}

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
  Bytes encrypt_reference(const Coefficients& reference) const {
    return match::serialize_reference(parameters, encrypt(reference, parameters.reference_scale()));
  }

  Result<v1::IdentifyReply> identify(const Coefficients& probe) {
    v1::IdentifyRequest request;
    request.set_gallery("gallery");
    request.set_edge_id(edge_id_);
    *request.mutable_contract() = edge::to_proto(FakeEngine().contract());
    request.set_probe(std::string(
        as_text(match::serialize_probe(parameters, encrypt(probe, parameters.probe_scale())))));
    TicketScope scope = signer_.scope(TicketKind::identification);
    scope.ciphertexts = probe_digest(request);
    *request.mutable_ticket() = signer_.sign(scope);
    return auth_.identify(request);
  }

  Result<v1::EnrolReply> enrol(const std::string& subject, const Coefficients& reference) {
    v1::EnrolRequest request;
    request.set_gallery("gallery");
    request.set_subject(subject);
    request.set_edge_id(edge_id_);
    *request.mutable_contract() = edge::to_proto(FakeEngine().contract());
    request.add_references(std::string(as_text(encrypt_reference(reference))));
    TicketScope scope = signer_.scope(TicketKind::enrolment);
    scope.ciphertexts = ciphertexts_digest(request.references());
    scope.subject = subject_digest("gallery", subject);
    *request.mutable_ticket() = signer_.sign(scope);
    return auth_.enrol(request);
  }

  const match::Parameters parameters;

 private:
  static secret::SecretKey issue(Parties& parties, const std::string& edge_id) {
    EXPECT_TRUE(parties.auth->admit_edge(parties.tenant_key(), edge_id, kTestDimension).ok());
    EXPECT_TRUE(
        parties.key->grant_book().give_first({{edge_id, "*", "*", grants::kAllRights}}).ok());
    return std::move(parties.key->issue_edge_key(parties.tenant_key(), edge_id, kTestDimension))
        .value();
  }
  ckks::SeededCiphertext encrypt(const Coefficients& coefficients, double scale) const {
    return secret::encrypt(key_, ckks::Message{coefficients, scale}, 2).value();
  }

  std::string edge_id_;
  auth::AuthServer& auth_;
  secret::SecretKey key_;
  WillingSigner signer_;
};

}  // namespace bauta
