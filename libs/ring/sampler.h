// Polynomials from a seed of 32 bytes: uniform residues, ternary secrets, errors.
//
// Every expansion is a function of (seed, purpose, index) alone; docs/formats/sampling.md fixes the
// bytes and has test vectors. Expansions of one seed under different purposes or indices are
// independent.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/secret.h"
#include "ring/polynomial.h"
#include "ring/secret_polynomial.h"

namespace bauta::ring {

inline constexpr size_t kSeedBytes = 32;
inline constexpr size_t kMaxPurposeBytes = 64;

// The seed of a public polynomial, e.g. the uniform half of a ciphertext; may be published.
using PublicSeed = std::array<uint8_t, kSeedBytes>;

PublicSeed fresh_public_seed();

// The seed of something secret, in locked memory.
class SecretSeed {
 public:
  // From OpenSSL's generator. Error `unavailable` when memory cannot be locked.
  static Result<SecretSeed> fresh();
  // A seed that a key service derived; the bytes must be secret and uniform. The caller wipes its
  // copy.
  static Result<SecretSeed> derived(std::span<const uint8_t, kSeedBytes> bytes);
  // The same seed for the same number, for tests and test vectors only.
  static Result<SecretSeed> insecure_fixed(uint64_t number);

  std::span<const uint8_t, kSeedBytes> bytes() const {
    return std::span<const uint8_t, kSeedBytes>(bytes_.data(), kSeedBytes);
  }

 private:
  SecretArray<uint8_t> bytes_;
};

// The keystream that the samplers below read, for other secrets of the same seed: SHAKE-256 makes
// an AES-256 key from (seed, purpose, index, modulus), and AES-CTR the bytes. Secret material is
// wiped. Precondition: the purpose has 1 to 64 bytes.
class Keystream {
 public:
  // modulus 0: not of one modulus.
  Keystream(std::span<const uint8_t, kSeedBytes> seed, std::string_view purpose, uint64_t index,
            uint32_t modulus = 0);
  Keystream(const Keystream&) = delete;
  Keystream& operator=(const Keystream&) = delete;
  ~Keystream();

  // The next out.size() bytes.
  void read(std::span<uint8_t> out);

 private:
  void* cipher_;  // EVP_CIPHER_CTX
};

// Uniform modulo every modulus of the basis, by rejection. The residues modulo q depend on q and
// not on the other moduli, so that the expansion over a prefix is the prefix of the expansion. Not
// constant time: for public seeds, or for masks whose rejections tell nothing.
template <Form form>
RnsPolynomial<form> sample_uniform(std::span<const uint8_t, kSeedBytes> seed,
                                   std::string_view purpose, uint64_t index, const Basis& basis,
                                   ThreadPool* pool = nullptr);
// One limb of it.
void sample_uniform(std::span<const uint8_t, kSeedBytes> seed, std::string_view purpose,
                    uint64_t index, const Modulus& modulus, Limb out);

// Coefficients -1, 0, 1 with probability 1/3 each (to 2^-32). Constant time. Precondition: degree a
// power of two of at least 16. Error `unavailable` when memory cannot be locked.
Result<SmallSecret> sample_ternary(const SecretSeed& seed, std::string_view purpose, uint64_t index,
                                   size_t degree);

// Centred binomial of 42 bits: the difference of two sums of 21, in [-21, 21], standard deviation
// sqrt(10.5) = 3.24. Constant time. Preconditions and errors as above.
inline constexpr double kErrorDeviation = 3.2403703492039301;
Result<SmallSecret> sample_error(const SecretSeed& seed, std::string_view purpose, uint64_t index,
                                 size_t degree);

}  // namespace bauta::ring
