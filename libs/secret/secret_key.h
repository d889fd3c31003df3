// Secret keys. Linked by the edge and by the key service only.
#pragma once

#include <string_view>

#include "base/secret.h"
#include "ckks/key_id.h"
#include "ckks/parameters.h"
#include "ring/secret_polynomial.h"

namespace bauta::secret {

inline constexpr size_t kSeedBytes = 32;

// A uniform ternary polynomial, expanded for one use and wiped on release: N bytes of locked
// memory. Cannot be copied, printed or serialised; what is kept is the seed, by whoever owns it.
class SecretKey {
 public:
  // The key that follows from (seed, purpose, degree): the same every time. seed: kSeedBytes
  // uniform secret bytes. purpose: 1 to 64 bytes that tell keys of one seed apart, e.g. "edge 7".
  // Errors: invalid_argument; unavailable when memory cannot be locked.
  static Result<SecretKey> expand(const ckks::Parameters& parameters, const SecretBytes& seed,
                                  std::string_view purpose);

  const ckks::Parameters& parameters() const { return parameters_; }
  // Follows from seed and purpose; public.
  const ckks::KeyId& id() const { return id_; }
  // N coefficients -1, 0, 1.
  const ring::SmallSecret& coefficients() const { return coefficients_; }

 private:
  SecretKey(const ckks::Parameters& parameters, const ckks::KeyId& id,
            ring::SmallSecret&& coefficients)
      : parameters_(parameters), id_(id), coefficients_(std::move(coefficients)) {}

  ckks::Parameters parameters_;
  ckks::KeyId id_;
  ring::SmallSecret coefficients_;
};

}  // namespace bauta::secret
