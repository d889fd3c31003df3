#include "match/renewal.h"

#include "ring/limb_loop.h"

namespace bauta::match {

Result<Renewal> Renewal::create(std::shared_ptr<const EvaluationKeys> keys,
                                ByteView switching_key) {
  const Parameters& parameters = keys->parameters();
  BAUTA_TRY(ckks::SwitchingKey key,
            ckks::parse_switching_key(parameters.ring(), key_shape(parameters), switching_key));
  BAUTA_CHECK(ckks::check_key_id("key-switching key", key.to, keys->key_id()));
  if (key.from == key.to)
    return make_error(
        ErrorCode::mismatch,
        "the key-switching key leads from key {} to itself; a renewal needs a new key",
        to_hex(key.to));
  return Renewal(std::move(keys), std::move(key));
}

Result<StoredReference> Renewal::renew(const StoredReference& reference) const {
  const ckks::CoefficientCiphertext& old = reference.ciphertext;
  BAUTA_CHECK(ckks::check_key_id("reference", old.key_id, from()));
  ckks::PolynomialPair pair = keys_->switcher().switch_key(old.c1, switching_key_);
  StoredReference renewed{
      {to_coefficient(std::move(pair.u0)), to_coefficient(std::move(pair.u1)), old.scale, to()}};
  add_in_place(renewed.ciphertext.c0, old.c0);
  return renewed;
}

TiledCiphertexts Renewal::renew(const TiledCiphertexts& images, ThreadPool* pool) const {
  const ring::Basis basis = keys_->parameters().ring().ciphertext_moduli();
  TiledCiphertexts renewed(images.count());
  ring::for_each_limb(images.count(), pool, [&](size_t u) {
    auto c0 = ring::EvaluationPolynomial::uninitialised(basis);
    auto c1 = ring::EvaluationPolynomial::uninitialised(basis);
    images.get(u, c0, c1);
    const ckks::PolynomialPair pair =
        keys_->switcher().switch_key(c1, switching_key_, {.addend = &c0});
    renewed.put(u, pair.u0, pair.u1);
  });
  return renewed;
}

}  // namespace bauta::match
