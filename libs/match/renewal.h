// Renewal: what a tenant's old key encrypts is switched to its new key, and never decrypted.
//
// Once everything is switched and the switching key is deleted, the old key opens nothing that is
// left. A switch adds noise of about 15 to each coefficient of a ciphertext: four renewals keep the
// error of scores within the bounds of docs/formats/gallery.md.
#pragma once

#include <memory>

#include "match/evaluation_keys.h"
#include "match/tiles.h"

namespace bauta::match {

// Thread-safe.
class Renewal {
 public:
  // keys: of the new key. switching_key: serialised, from the old key to the new one. Errors:
  // corrupt; mismatch when it does not lead to the key of `keys`, or comes from that very key.
  static Result<Renewal> create(std::shared_ptr<const EvaluationKeys> keys, ByteView switching_key);

  const ckks::KeyId& from() const { return switching_key_.from; }
  const ckks::KeyId& to() const { return switching_key_.to; }

  // An original. Blocks are then laid out anew from the originals. Error mismatch: it is not under
  // from().
  Result<StoredReference> renew(const StoredReference& reference) const;

  // The images of a block: as many key switches as it has ciphertexts. For blocks that were made
  // whole and have no originals. Precondition: they are under from().
  TiledCiphertexts renew(const TiledCiphertexts& images, ThreadPool* pool = nullptr) const;

 private:
  Renewal(std::shared_ptr<const EvaluationKeys> keys, ckks::SwitchingKey&& switching_key)
      : keys_(std::move(keys)), switching_key_(std::move(switching_key)) {}

  std::shared_ptr<const EvaluationKeys> keys_;
  ckks::SwitchingKey switching_key_;
};

}  // namespace bauta::match
