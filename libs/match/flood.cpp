#include "match/flood.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace bauta::match {
namespace {

static_assert(std::endian::native == std::endian::little, "the keystream is read as words");

constexpr std::string_view kPurpose = "bauta flood 1";
constexpr size_t kKey_bytes = 32;
constexpr size_t kMinSeed_bytes = 32;

// Draw j is made of words j and kDegree + j of the keystream, so that neighbours in memory are
// neighbours in a vector register.
using Keystream = std::array<uint32_t, 2 * kDegree>;
constexpr std::array<uint8_t, sizeof(Keystream)> kZeros{};

// A draw is (sum << kFractionBits | fraction), below 2^31.
constexpr int kFractionBits = 20;
constexpr double kUnit = 1 << kFractionBits;
// Eight bytes of mean 255/2, and a fraction uniform in 0 .. kUnit - 1.
constexpr double kMean = 8 * 255 / 2.0 * kUnit + (kUnit - 1) / 2;
const double kDeviation = kUnit * std::sqrt(8 * 65535 / 12.0 + (1 - 1 / (kUnit * kUnit)) / 12);

// AES-256 in counter mode: the block's number in the high half of the counter, big-endian.
void fill_keystream(const SecretBytes& key, uint32_t block, Keystream& words) {
  std::array<uint8_t, 16> counter{};
  for (size_t i = 0; i < 4; ++i) counter[7 - i] = static_cast<uint8_t>(block >> (8 * i));
  EVP_CIPHER_CTX* cipher = EVP_CIPHER_CTX_new();
  int written = 0;
  // A score without its draw must not be looked at: there is no safe way to go on.
  BAUTA_ASSERT(cipher != nullptr &&
               EVP_EncryptInit_ex(cipher, EVP_aes_256_ctr(), nullptr, key.data(), counter.data()) ==
                   1 &&
               EVP_EncryptUpdate(cipher, reinterpret_cast<uint8_t*>(words.data()), &written,
                                 kZeros.data(), kZeros.size()) == 1 &&
               written == static_cast<int>(kZeros.size()));
  EVP_CIPHER_CTX_free(cipher);  // wipes the key schedule
}

// The sums of neighbouring bytes, side by side.
uint32_t sums_of_pairs(uint32_t word) {
  return (word & 0x00ff00ff) + (word >> 8 & 0x00ff00ff);
}

// The sum of the eight bytes, and below it a fraction from x + y, which is independent of x and of
// y: it does not correlate with the sum.
int32_t raw_draw(uint32_t x, uint32_t y) {
  const uint32_t sums = sums_of_pairs(x) + sums_of_pairs(y);
  const uint32_t sum = (sums & 0xffff) + (sums >> 16);
  return static_cast<int32_t>(sum << kFractionBits | (x + y) >> (32 - kFractionBits));
}

}  // namespace

Result<Flood> Flood::create(const SecretBytes& seed, const Digest& ticket, double deviation) {
  BAUTA_ASSERT(seed.size() >= kMinSeed_bytes && std::isfinite(deviation) && deviation > 0);
  BAUTA_TRY(SecretBytes key, SecretBytes::create(kKey_bytes));
  std::array<uint8_t, kPurpose.size() + sizeof(Digest)> input{};
  std::ranges::copy(ticket, std::ranges::copy(kPurpose, input.begin()).out);
  unsigned size = kKey_bytes;
  const uint8_t* made = HMAC(EVP_sha256(), seed.data(), static_cast<int>(seed.size()), input.data(),
                             input.size(), key.data(), &size);
  BAUTA_ASSERT(made != nullptr && size == kKey_bytes);
  Flood flood;
  flood.key_ = std::make_shared<const SecretBytes>(std::move(key));
  flood.deviation_ = deviation;
  return flood;
}

void Flood::draw(uint32_t block, std::span<double, kDegree> draws) const {
  if (key_ == nullptr) {
    std::ranges::fill(draws, 0.0);
    return;
  }
  Keystream words;
  fill_keystream(*key_, block, words);
  const double factor = deviation_ / kDeviation;
  for (size_t j = 0; j < kDegree; ++j)
    draws[j] = (raw_draw(words[j], words[kDegree + j]) - kMean) * factor;
  wipe({reinterpret_cast<uint8_t*>(words.data()), sizeof(words)});
}

}  // namespace bauta::match
