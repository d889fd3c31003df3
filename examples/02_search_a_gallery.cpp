// 02: one probe against a gallery of 500, and what each party sees of it.
//
// The blocks of a gallery hold many templates per ciphertext (docs/formats/gallery.md): 500
// references fold into 16 ciphertexts, and one search costs 16 key switches, 16 products and one
// relinearisation.

#include <cmath>
#include <cstdio>
#include <random>

#include "match/gallery.h"
#include "match/local_tenant.h"
#include "match/scores.h"
#include "match/template_codec.h"
#include "secret/encryption.h"

using namespace bauta;

namespace {

constexpr size_t kDimension = 128;
constexpr size_t kPeople = 500;
constexpr size_t kWanted = 123;

std::vector<float> make_template(std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> embedding(kDimension);
  double norm = 0;
  for (float& entry : embedding) {
    entry = normal(random);
    norm += static_cast<double>(entry) * entry;
  }
  for (float& entry : embedding) entry = static_cast<float>(entry / std::sqrt(norm));
  return embedding;
}

Status search() {
  BAUTA_TRY(const match::LocalTenant parties, match::LocalTenant::create(kDimension));
  const match::Parameters& parameters = parties.parameters;
  const size_t limbs = parameters.ring().primes().size();

  // Enrolment: the edge encrypts under its own key, the server switches to the tenant's and adds
  // the ciphertext to a block.
  match::Gallery gallery(parties.keys, [](uint64_t) -> Result<match::StoredReference> {
    return make_error(ErrorCode::not_found, "this example keeps no originals");
  });
  gallery.reserve(kPeople);
  std::mt19937 random(7);
  std::vector<float> wanted;
  for (size_t slot = 0; slot < kPeople; ++slot) {
    const std::vector<float> person = make_template(random);
    if (slot == kWanted) wanted = person;
    BAUTA_TRY(const match::TemplatePolynomial message, match::encode_reference(parameters, person));
    BAUTA_TRY(const ckks::SeededCiphertext sent,
              secret::encrypt(parties.edge, message.span(), limbs, parameters.reference_scale()));
    BAUTA_TRY(const match::StoredReference reference,
              parties.keys->admit_reference(match::serialize_reference(parameters, sent)));
    BAUTA_CHECK(gallery.insert(slot, reference));
  }

  // Identification.
  BAUTA_TRY(const match::TemplatePolynomial message, match::encode_probe(parameters, wanted));
  BAUTA_TRY(const ckks::SeededCiphertext sent,
            secret::encrypt(parties.edge, message.span(), limbs, parameters.probe_scale()));
  BAUTA_TRY(const match::SwitchedProbe probe,
            parties.keys->admit_probe(match::serialize_probe(parameters, sent)));
  BAUTA_TRY(const match::Search search, gallery.search(probe));

  // The key service decrypts scores in an order that means nothing to it, and answers with a
  // position.
  match::ScoreReader reader(parameters);
  for (uint32_t block = 0; block < search.request.blocks.size(); ++block) {
    BAUTA_TRY(const ring::SecretCoefficients residues,
              secret::decrypt(parties.tenant, search.request.blocks[block].ciphertext));
    reader.read(block, residues.limb(0), search.request.blocks[block].live);
  }
  const match::Candidate best = *reader.best();

  // The server alone knows whose position that is; it does not know the score.
  BAUTA_TRY(const uint64_t slot, search.map.slot(best.position));
  std::printf("gallery: %zu references, %zu bytes of ciphertext in memory\n", gallery.references(),
              gallery.memory_bytes());
  std::printf("key service: best score %.5f at position %u, which means nothing to it\n",
              best.score, best.position.coefficient);
  std::printf("authentication server: that position is slot %zu, without its score\n",
              static_cast<size_t>(slot));
  if (slot != kWanted) return make_error(ErrorCode::internal, "slot {} was wanted", kWanted);
  return {};
}

}  // namespace

int main() {
  const Status status = search();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.error().message.c_str());
  return status.ok() ? 0 : 1;
}
