// 01: two templates are compared and neither is ever decrypted.
//
// Three parties in one program: the key service (holds the tenant's secret), the edge (holds its
// own secret and sees the face), the authentication server (holds public keys and ciphertexts).
// Follow which variable belongs to whom.

#include <cmath>
#include <cstdio>
#include <vector>

#include "match/gallery.h"
#include "match/local_tenant.h"
#include "match/scores.h"
#include "match/template_codec.h"
#include "secret/encryption.h"

using namespace bauta;

namespace {

// A unit vector; in real life a feature extractor makes it from a face.
std::vector<float> make_template(double angle) {
  std::vector<float> embedding(64);
  embedding[0] = static_cast<float>(std::cos(angle));
  embedding[1] = static_cast<float>(std::sin(angle));
  return embedding;
}

Status compare() {
  BAUTA_TRY(const match::LocalTenant parties, match::LocalTenant::create(64));
  const match::Parameters& parameters = parties.parameters;
  const size_t limbs = parameters.ring().primes().size();

  // Edge: enrols one face and asks for another, 30 degrees apart. Both leave it encrypted.
  BAUTA_TRY(const match::TemplatePolynomial enrolled,
            match::encode_reference(parameters, make_template(0)));
  BAUTA_TRY(const ckks::SeededCiphertext reference,
            secret::encrypt(parties.edge, enrolled.span(), limbs, parameters.reference_scale()));
  BAUTA_TRY(const match::TemplatePolynomial asked,
            match::encode_probe(parameters, make_template(std::acos(-1.0) / 6)));
  BAUTA_TRY(const ckks::SeededCiphertext probe,
            secret::encrypt(parties.edge, asked.span(), limbs, parameters.probe_scale()));
  const Bytes sent_reference = match::serialize_reference(parameters, reference);
  const Bytes sent_probe = match::serialize_probe(parameters, probe);

  // Authentication server: compares ciphertexts, and masks everything but the one score.
  BAUTA_TRY(const match::StoredReference stored, parties.keys->admit_reference(sent_reference));
  BAUTA_TRY(const match::SwitchedProbe switched, parties.keys->admit_probe(sent_probe));
  BAUTA_TRY(const match::Search search, match::compare_one(*parties.keys, switched, 0, stored));

  // Key service: decrypts the score and would tell nothing but accepted or rejected.
  const match::ScoreBlock& block = search.request.blocks.front();
  BAUTA_TRY(const ring::SecretCoefficients residues,
            secret::decrypt(parties.tenant, block.ciphertext));
  match::ScoreReader reader(parameters);
  reader.read(0, residues.limb(0), block.live);
  std::printf("a probe of %zu bytes against a reference of %zu bytes\n", sent_probe.size(),
              sent_reference.size());
  std::printf("score under encryption %.5f, in the clear %.5f\n", reader.best()->score,
              std::cos(std::acos(-1.0) / 6));
  return {};
}

}  // namespace

int main() {
  const Status status = compare();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status.ok() ? 0 : 1;
}
