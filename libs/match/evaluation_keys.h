// The public keys an authentication server works with for one tenant. None of them decrypts.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "ckks/key_switching.h"
#include "match/template_ciphertext.h"

namespace bauta::match {

// g_u = 1 + 2(r/m)u, the u-th automorphism of a block folded at m.
uint32_t galois_element(const Parameters& parameters, size_t folding, size_t u);

// The Galois elements g = 2i+1 of the keys i = 1..r-1 in the order in which the key file holds
// them: i runs through the bit reversals of 1..r-1, so that the first m-1 keys are all that a block
// folded at m needs, and one file serves all foldings.
std::vector<uint32_t> galois_elements(const Parameters& parameters);

// All keys of a gallery have this shape: both limbs, every prime its own digit.
ckks::KeySwitchShape key_shape(const Parameters& parameters);

// Thread-safe.
class EvaluationKeys {
 public:
  // galois_key_file: the keys of galois_elements() one serialised object after another, as the key
  // service writes them; each is read when a folding first needs it. Errors: corrupt, mismatch,
  // not_found.
  static Result<std::shared_ptr<EvaluationKeys>> open(const Parameters& parameters,
                                                      std::filesystem::path galois_key_file,
                                                      ByteView relinearization_key);

  const Parameters& parameters() const { return parameters_; }
  // The tenant key that everything here leads to.
  const ckks::KeyId& key_id() const { return relinearization_key_.key.to; }
  const ckks::KeySwitcher& switcher() const { return switcher_; }
  const ckks::RelinearizationKey& relinearization_key() const { return relinearization_key_; }

  // Admits an edge: the serialised key-switching key from its key to the tenant's. Adding the same
  // edge again replaces its key. Errors: corrupt, mismatch.
  Status add_edge(ByteView switching_key);
  // Error: not_found.
  Status revoke_edge(const ckks::KeyId& edge);

  // From the edge's key to the tenant's. Errors: corrupt, mismatch; refused when the edge is not
  // admitted.
  Result<SwitchedProbe> admit_probe(ByteView probe) const;
  Result<StoredReference> admit_reference(ByteView reference) const;

  // The same for any ciphertext of an edge, such as one of a bulk block. Error refused.
  Result<ckks::CoefficientCiphertext> switch_to_tenant(
      const ckks::SeededCiphertext& ciphertext) const;

  // The keys of a block folded at m: that of g_u at index u; index 0 is the identity and null.
  // Precondition: m a power of two up to the width. Errors: corrupt, mismatch, not_found.
  Result<std::vector<std::shared_ptr<const ckks::GaloisKey>>> galois_keys(size_t folding) const;
  // That of Y -> 1/Y. Errors as galois_keys.
  Result<std::shared_ptr<const ckks::GaloisKey>> conjugation_key() const;

 private:
  EvaluationKeys(const Parameters& parameters, std::filesystem::path galois_key_file,
                 ckks::RelinearizationKey&& relinearization_key);
  Status load_galois_keys(size_t count) const;
  Result<std::shared_ptr<const ckks::GaloisKey>> read_galois_key(size_t index) const;

  Parameters parameters_;
  std::filesystem::path galois_key_file_;
  std::vector<uint32_t> galois_elements_;
  ckks::KeySwitcher switcher_;
  ckks::RelinearizationKey relinearization_key_;

  mutable std::mutex mutex_;  // guards what follows
  std::map<ckks::KeyId, std::shared_ptr<const ckks::SwitchingKey>> edges_;
  mutable std::vector<std::shared_ptr<const ckks::GaloisKey>> galois_keys_;  // a prefix of the file
  mutable std::shared_ptr<const ckks::GaloisKey> conjugation_key_;
};

}  // namespace bauta::match
