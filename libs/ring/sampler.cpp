#include "ring/sampler.h"

#include <algorithm>
#include <bit>

#include <openssl/evp.h>

#include "base/random.h"
#include "ring/limb_loop.h"

namespace bauta::ring {
namespace {

static_assert(std::endian::native == std::endian::little, "the keystream is read as words");

constexpr std::string_view kDomain = "bauta keystream 1";
constexpr size_t kKeyBytes = 32;
constexpr size_t kBlockBytes = 16;

// Words read at a time; a multiple of what the kernels ask for.
constexpr size_t kChunkWords = 2048;

template <typename Integer>
void absorb_integer(EVP_MD_CTX* hash, Integer value) {
  std::array<uint8_t, sizeof(Integer)> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  BAUTA_ASSERT(EVP_DigestUpdate(hash, bytes.data(), bytes.size()) == 1);
}

// SHAKE-256 of the domain, the seed, the length-prefixed purpose, index and modulus.
void derive_key(std::span<const uint8_t, kSeedBytes> seed, std::string_view purpose, uint64_t index,
                uint32_t modulus, std::span<uint8_t, kKeyBytes> key) {
  EVP_MD_CTX* hash = EVP_MD_CTX_new();
  BAUTA_ASSERT(hash != nullptr && EVP_DigestInit_ex(hash, EVP_shake256(), nullptr) == 1);
  BAUTA_ASSERT(EVP_DigestUpdate(hash, kDomain.data(), kDomain.size()) == 1);
  BAUTA_ASSERT(EVP_DigestUpdate(hash, seed.data(), seed.size()) == 1);
  absorb_integer(hash, static_cast<uint8_t>(purpose.size()));
  BAUTA_ASSERT(EVP_DigestUpdate(hash, purpose.data(), purpose.size()) == 1);
  absorb_integer(hash, index);
  absorb_integer(hash, modulus);
  BAUTA_ASSERT(EVP_DigestFinalXOF(hash, key.data(), key.size()) == 1);
  EVP_MD_CTX_free(hash);  // wipes its state
}

// Reads the keystream in chunks of Words and writes convert(word) for every coefficient.
template <typename Word, typename Convert>
Result<SmallSecret> sample_small(const SecretSeed& seed, std::string_view purpose, uint64_t index,
                                 size_t degree, Convert convert) {
  BAUTA_TRY(SmallSecret secret, SmallSecret::create(degree));
  BAUTA_TRY(SecretArray<Word> words, SecretArray<Word>::create(std::min(degree, kChunkWords)));
  Keystream keystream(seed.bytes(), purpose, index);
  for (size_t done = 0; done < degree; done += words.size()) {
    const size_t count = std::min(words.size(), degree - done);
    keystream.read({reinterpret_cast<uint8_t*>(words.data()), count * sizeof(Word)});
    for (size_t i = 0; i < count; ++i) secret.data()[done + i] = convert(words.data()[i]);
  }
  return secret;
}

// Number of ones among the low 21 bits; by arithmetic, as a library's table would be indexed by the
// secret.
uint64_t count_ones_21(uint64_t bits) {
  bits &= (uint64_t{1} << 21) - 1;
  bits -= (bits >> 1) & 0x55555555;
  bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333);
  bits = (bits + (bits >> 4)) & 0x0f0f0f0f;
  return ((bits * 0x01010101) & 0xffffffff) >> 24;
}

}  // namespace

PublicSeed fresh_public_seed() {
  PublicSeed seed;
  random_bytes(seed);
  return seed;
}

Result<SecretSeed> SecretSeed::fresh() {
  SecretSeed seed;
  BAUTA_TRY(seed.bytes_, SecretArray<uint8_t>::create(kSeedBytes));
  random_bytes(seed.bytes_.span());
  return seed;
}

Result<SecretSeed> SecretSeed::derived(std::span<const uint8_t, kSeedBytes> bytes) {
  SecretSeed seed;
  BAUTA_TRY(seed.bytes_, SecretArray<uint8_t>::create(kSeedBytes));
  std::copy(bytes.begin(), bytes.end(), seed.bytes_.data());
  return seed;
}

Result<SecretSeed> SecretSeed::insecure_fixed(uint64_t number) {
  std::array<uint8_t, kSeedBytes> bytes{};
  for (size_t i = 0; i < sizeof number; ++i) bytes[i] = static_cast<uint8_t>(number >> (8 * i));
  return derived(bytes);
}

Keystream::Keystream(std::span<const uint8_t, kSeedBytes> seed, std::string_view purpose,
                     uint64_t index, uint32_t modulus) {
  BAUTA_ASSERT(!purpose.empty() && purpose.size() <= kMaxPurposeBytes);
  std::array<uint8_t, kKeyBytes> key;
  derive_key(seed, purpose, index, modulus, key);
  const std::array<uint8_t, kBlockBytes> counter{};
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  BAUTA_ASSERT(cipher != nullptr && EVP_EncryptInit_ex(cipher, EVP_aes_256_ctr(), nullptr,
                                                       key.data(), counter.data()) == 1);
  wipe(key);
  cipher_ = cipher;
}

Keystream::~Keystream() {
  EVP_CIPHER_CTX_free(static_cast<EVP_CIPHER_CTX*>(cipher_));  // wipes the key schedule
}

void Keystream::read(std::span<uint8_t> out) {
  std::fill(out.begin(), out.end(), uint8_t{0});
  while (!out.empty()) {
    const size_t chunk = std::min(out.size(), size_t{1} << 20);
    int written = 0;
    BAUTA_ASSERT(EVP_EncryptUpdate(static_cast<EVP_CIPHER_CTX*>(cipher_), out.data(), &written,
                                   out.data(), static_cast<int>(chunk)) == 1 &&
                 static_cast<size_t>(written) == chunk);
    out = out.subspan(chunk);
  }
}

void sample_uniform(std::span<const uint8_t, kSeedBytes> seed, std::string_view purpose,
                    uint64_t index, const Modulus& modulus, Limb out) {
  Keystream keystream(seed, purpose, index, modulus.value());
  std::array<uint32_t, kChunkWords> words, accepted;
  for (size_t done = 0; done < out.size();) {
    keystream.read({reinterpret_cast<uint8_t*>(words.data()), sizeof words});
    const size_t count = simd::kernels().accept_below(accepted.data(), words.data(), words.size(),
                                                      modulus.constants());
    const size_t taken = std::min(count, out.size() - done);
    std::copy_n(accepted.begin(), taken, out.begin() + static_cast<ptrdiff_t>(done));
    done += taken;
  }
}

template <Form form>
RnsPolynomial<form> sample_uniform(std::span<const uint8_t, kSeedBytes> seed,
                                   std::string_view purpose, uint64_t index, const Basis& basis,
                                   ThreadPool* pool) {
  auto polynomial = RnsPolynomial<form>::uninitialised(basis);
  for_each_limb(basis.size(), pool, [&](size_t i) {
    sample_uniform(seed, purpose, index, basis.modulus(i), polynomial.limb(i));
  });
  return polynomial;
}

template CoefficientPolynomial sample_uniform(std::span<const uint8_t, kSeedBytes>,
                                              std::string_view, uint64_t, const Basis&,
                                              ThreadPool*);
template EvaluationPolynomial sample_uniform(std::span<const uint8_t, kSeedBytes>, std::string_view,
                                             uint64_t, const Basis&, ThreadPool*);

Result<SmallSecret> sample_ternary(const SecretSeed& seed, std::string_view purpose, uint64_t index,
                                   size_t degree) {
  return sample_small<uint32_t>(seed, purpose, index, degree, [](uint32_t word) {
    return static_cast<int8_t>(static_cast<int>((uint64_t{word} * 3) >> 32) - 1);
  });
}

Result<SmallSecret> sample_error(const SecretSeed& seed, std::string_view purpose, uint64_t index,
                                 size_t degree) {
  return sample_small<uint64_t>(seed, purpose, index, degree, [](uint64_t word) {
    return static_cast<int8_t>(static_cast<int>(count_ones_21(word)) -
                               static_cast<int>(count_ones_21(word >> 21)));
  });
}

}  // namespace bauta::ring
