// Blocks without originals, rewritten without what was erased in them.
#include "match/bulk_erasure.h"
#include "secret/encryption.h"
#include "services/key/key_server.h"

namespace bauta::key {
namespace {

using match::kDegree;

class Rewriter {
 public:
  Rewriter(const secret::SecretKey& key, const match::Parameters& parameters)
      : key_(key), parameters_(parameters) {}

  // Without these references, at most match::BulkErasure::max_references().
  Result<match::TiledCiphertexts> rewrite(const match::TiledCiphertexts& images,
                                          std::span<const uint32_t> coefficients) const {
    BAUTA_TRY(match::BulkErasure erasure, match::BulkErasure::create(parameters_, coefficients));
    for (size_t u = 0; u < images.count(); ++u) {
      BAUTA_TRY(const match::TemplatePolynomial message, decrypt(images, u));
      erasure.read(u, message.span());
    }
    erasure.finish();
    match::TiledCiphertexts rewritten(images.count());
    for (size_t u = 0; u < images.count(); ++u) {
      BAUTA_TRY(match::TemplatePolynomial message, decrypt(images, u));
      BAUTA_CHECK(erasure.remove(u, message.span()));
      BAUTA_TRY(
          const ckks::SeededCiphertext fresh,
          secret::encrypt(key_, message.span(), match::kLimbs, parameters_.reference_scale()));
      const ckks::EvaluationCiphertext image = to_evaluation(expand(fresh));
      rewritten.put(u, image.c0, image.c1);
    }
    return rewritten;
  }

 private:
  Result<match::TemplatePolynomial> decrypt(const match::TiledCiphertexts& images, size_t u) const {
    const ring::Basis basis = parameters_.ring().ciphertext_moduli();
    auto c0 = ring::EvaluationPolynomial::uninitialised(basis);
    auto c1 = ring::EvaluationPolynomial::uninitialised(basis);
    images.get(u, c0, c1);
    const ckks::CoefficientCiphertext ciphertext{to_coefficient(std::move(c0)),
                                                 to_coefficient(std::move(c1)),
                                                 parameters_.reference_scale(), key_.id()};
    BAUTA_TRY(const ring::SecretCoefficients residues, secret::decrypt(key_, ciphertext));
    return join(residues);
  }

  // The signed numbers that have these residues.
  static Result<match::TemplatePolynomial> join(const ring::SecretCoefficients& residues) {
    static_assert(match::kLimbs == 2);
    const ring::Modulus& first = residues.basis().modulus(0);
    const ring::Modulus& second = residues.basis().modulus(1);
    const uint32_t inverse = second.inverse(second.reduce(first.value()));
    const uint64_t product = uint64_t{first.value()} * second.value();
    BAUTA_TRY(match::TemplatePolynomial message, match::TemplatePolynomial::create(kDegree));
    int64_t beyond = 0;
    for (size_t i = 0; i < kDegree; ++i) {
      const uint32_t low = residues.limb(0)[i];
      const uint32_t high =
          second.multiply(second.subtract(residues.limb(1)[i], second.reduce(low)), inverse);
      const uint64_t value = low + uint64_t{first.value()} * high;
      const uint64_t negative = 0 - static_cast<uint64_t>(value > product / 2);
      const auto centred = static_cast<int64_t>(value - (product & negative));
      message.data()[i] = static_cast<int32_t>(centred);
      beyond |= centred - message.data()[i];
    }
    if (beyond == 0) return message;
    return make_error(ErrorCode::corrupt, "what was decrypted is no block of references");
  }

  const secret::SecretKey& key_;
  const match::Parameters& parameters_;
};

}  // namespace

Result<match::TiledCiphertexts> KeyServer::rewrite_block(const std::string& gallery,
                                                         const std::string& key_id,
                                                         uint32_t dimension,
                                                         const match::TiledCiphertexts& images,
                                                         std::span<const uint32_t> coefficients) {
  BAUTA_TRY(const keys::KeyId id, parse_key_id(key_id));
  BAUTA_TRY(const match::Parameters parameters, match::Parameters::create(dimension));
  if (gallery.empty() || images.count() != parameters.width() || coefficients.empty() ||
      std::ranges::any_of(coefficients, [](uint32_t j) { return j >= kDegree; }))
    return make_error(ErrorCode::invalid_argument,
                      "a block of gallery {} to be rewritten has {} ciphertexts, and names who is "
                      "to be taken out",
                      gallery, parameters.width());
  // On record before anything is decrypted.
  BAUTA_CHECK(ledger_->rewritten(id, gallery));
  BAUTA_CHECK(sign_if_due());
  BAUTA_TRY(const secret::SecretKey key, derive_tenant_key(id, parameters));
  const Rewriter rewriter(key, parameters);
  const size_t at_once = match::BulkErasure::max_references(parameters);
  match::TiledCiphertexts rewritten;
  for (size_t first = 0; first < coefficients.size(); first += at_once) {
    const auto some = coefficients.subspan(first, std::min(at_once, coefficients.size() - first));
    BAUTA_TRY(rewritten, rewriter.rewrite(first == 0 ? images : rewritten, some));
  }
  return rewritten;
}

}  // namespace bauta::key
