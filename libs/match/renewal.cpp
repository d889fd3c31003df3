#include "match/renewal.h"

#include <algorithm>

#include "ring/limb_loop.h"

namespace bauta::match {
namespace {

// Ciphertext number index again.
ckks::PolynomialPair untiled(const TiledCiphertexts& images, size_t index,
                             const ring::Basis& basis) {
  ckks::PolynomialPair pair{ring::EvaluationPolynomial::uninitialised(basis),
                            ring::EvaluationPolynomial::uninitialised(basis)};
  for (size_t slice = 0; slice < kSlices; ++slice)
    for (size_t limb = 0; limb < kLimbs; ++limb) {
      const uint32_t* source = images.tile(slice, limb) + index * 2 * simd::kTileWords;
      const size_t place = slice * simd::kTileWords;
      std::copy_n(source, simd::kTileWords, pair.u0.limb(limb).data() + place);
      std::copy_n(source + simd::kTileWords, simd::kTileWords, pair.u1.limb(limb).data() + place);
    }
  return pair;
}

}  // namespace

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
    const ckks::PolynomialPair old = untiled(images, u, basis);
    const ckks::PolynomialPair pair =
        keys_->switcher().switch_key(old.u1, switching_key_, {.addend = &old.u0});
    renewed.put(u, pair.u0, pair.u1);
  });
  return renewed;
}

}  // namespace bauta::match
