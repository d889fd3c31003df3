#include "match/evaluation_keys.h"

#include <bit>
#include <fstream>

namespace bauta::match {
namespace {

size_t reverse_bits(size_t value, int bits) {
  size_t reversed = 0;
  for (int i = 0; i < bits; ++i) reversed |= (value >> i & 1) << (bits - 1 - i);
  return reversed;
}

Result<Bytes> read_range(const std::filesystem::path& path, size_t offset, size_t size_bytes) {
  std::ifstream file(path, std::ios::binary);
  Bytes bytes(size_bytes);
  file.seekg(static_cast<std::streamoff>(offset));
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size_bytes)))
    return make_error(ErrorCode::unavailable, "cannot read {} bytes at offset {} of {}", size_bytes,
                      offset, path.string());
  return bytes;
}

}  // namespace

uint32_t galois_element(const Parameters& parameters, size_t folding, size_t u) {
  return static_cast<uint32_t>(1 + 2 * (parameters.width() / folding) * u);
}

std::vector<uint32_t> galois_elements(const Parameters& parameters) {
  const int bits = std::countr_zero(parameters.width());
  std::vector<uint32_t> elements;
  for (size_t k = 1; k < parameters.width(); ++k)
    elements.push_back(static_cast<uint32_t>(2 * reverse_bits(k, bits) + 1));
  return elements;
}

ckks::KeySwitchShape key_shape(const Parameters& parameters) {
  return ckks::top_shape(parameters.ring(), /*digit_limbs=*/1);
}

EvaluationKeys::EvaluationKeys(const Parameters& parameters, std::filesystem::path galois_key_file,
                               ckks::RelinearizationKey&& relinearization_key)
    : parameters_(parameters),
      galois_key_file_(std::move(galois_key_file)),
      galois_elements_(match::galois_elements(parameters)),
      switcher_(parameters.ring(), key_shape(parameters)),
      relinearization_key_(std::move(relinearization_key)) {}

Result<std::shared_ptr<EvaluationKeys>> EvaluationKeys::open(const Parameters& parameters,
                                                             std::filesystem::path galois_key_file,
                                                             ByteView relinearization_key) {
  const ckks::KeySwitchShape shape = key_shape(parameters);
  BAUTA_TRY(ckks::RelinearizationKey key,
            ckks::parse_relinearization_key(parameters.ring(), shape, relinearization_key));
  std::error_code failure;
  const uintmax_t size_bytes = std::filesystem::file_size(galois_key_file, failure);
  if (failure)
    return make_error(ErrorCode::not_found, "the Galois key file {} cannot be read: {}",
                      galois_key_file.string(), failure.message());
  const size_t expected_bytes =
      (parameters.width() - 1) * ckks::galois_key_bytes(parameters.ring(), shape);
  if (size_bytes != expected_bytes)
    return make_error(ErrorCode::corrupt, "the Galois key file {} has {} bytes where {} are due",
                      galois_key_file.string(), size_bytes, expected_bytes);
  return std::shared_ptr<EvaluationKeys>(
      new EvaluationKeys(parameters, std::move(galois_key_file), std::move(key)));
}

Status EvaluationKeys::add_edge(ByteView switching_key) {
  BAUTA_TRY(ckks::SwitchingKey key,
            ckks::parse_switching_key(parameters_.ring(), key_shape(parameters_), switching_key));
  BAUTA_CHECK(ckks::check_key_id("key-switching key", key.to, key_id()));
  const ckks::KeyId edge = key.from;
  const std::lock_guard lock(mutex_);
  edges_[edge] = std::make_shared<const ckks::SwitchingKey>(std::move(key));
  return {};
}

Status EvaluationKeys::revoke_edge(const ckks::KeyId& edge) {
  const std::lock_guard lock(mutex_);
  if (edges_.erase(edge) == 0)
    return make_error(ErrorCode::not_found, "no edge with key {} is admitted", to_hex(edge));
  return {};
}

Result<SwitchedProbe> EvaluationKeys::admit_probe(ByteView probe) const {
  BAUTA_TRY(const ckks::SeededCiphertext seeded, parse_probe(parameters_, probe));
  BAUTA_TRY(ckks::CoefficientCiphertext switched, switch_to_tenant(seeded));
  return SwitchedProbe{std::move(switched)};
}

Result<StoredReference> EvaluationKeys::admit_reference(ByteView reference) const {
  BAUTA_TRY(const ckks::SeededCiphertext seeded, parse_reference(parameters_, reference));
  BAUTA_TRY(ckks::CoefficientCiphertext switched, switch_to_tenant(seeded));
  return StoredReference{std::move(switched)};
}

Result<ckks::CoefficientCiphertext> EvaluationKeys::switch_to_tenant(
    const ckks::SeededCiphertext& ciphertext) const {
  std::shared_ptr<const ckks::SwitchingKey> key;
  {
    const std::lock_guard lock(mutex_);
    const auto edge = edges_.find(ciphertext.key_id);
    if (edge == edges_.end())
      return make_error(ErrorCode::refused,
                        "the ciphertext is under key {}, which belongs to no admitted edge",
                        to_hex(ciphertext.key_id));
    key = edge->second;
  }
  ckks::CoefficientCiphertext switched = expand(ciphertext);
  ckks::PolynomialPair pair = switcher_.switch_key(switched.c1, *key);
  add_in_place(switched.c0, to_coefficient(std::move(pair.u0)));
  switched.c1 = to_coefficient(std::move(pair.u1));
  switched.key_id = key_id();
  return switched;
}

Result<std::vector<std::shared_ptr<const ckks::GaloisKey>>> EvaluationKeys::galois_keys(
    size_t folding) const {
  BAUTA_ASSERT(std::has_single_bit(folding) && folding <= parameters_.width());
  const std::lock_guard lock(mutex_);
  BAUTA_CHECK(load_galois_keys(folding - 1));
  std::vector<std::shared_ptr<const ckks::GaloisKey>> keys(folding);
  const int bits = std::countr_zero(folding);
  for (size_t u = 1; u < folding; ++u) {
    // i = (r/m)u reversed over log2(r) bits is u reversed over log2(m) bits.
    keys[u] = galois_keys_[reverse_bits(u, bits) - 1];
    BAUTA_ASSERT(keys[u]->element == galois_element(parameters_, folding, u));
  }
  return keys;
}

// i = r - 1, and its reversal, is the last of all.
Result<std::shared_ptr<const ckks::GaloisKey>> EvaluationKeys::conjugation_key() const {
  const std::lock_guard lock(mutex_);
  if (conjugation_key_ == nullptr) {
    BAUTA_TRY(conjugation_key_, read_galois_key(parameters_.width() - 2));
  }
  return conjugation_key_;
}

Status EvaluationKeys::load_galois_keys(size_t count) const {
  while (galois_keys_.size() < count) {
    BAUTA_TRY(auto key, read_galois_key(galois_keys_.size()));
    galois_keys_.push_back(std::move(key));
  }
  return {};
}

Result<std::shared_ptr<const ckks::GaloisKey>> EvaluationKeys::read_galois_key(size_t index) const {
  const ckks::KeySwitchShape shape = key_shape(parameters_);
  const size_t key_bytes = ckks::galois_key_bytes(parameters_.ring(), shape);
  BAUTA_TRY(const Bytes bytes, read_range(galois_key_file_, index * key_bytes, key_bytes));
  BAUTA_TRY(ckks::GaloisKey key, ckks::parse_galois_key(parameters_.ring(), shape, bytes));
  BAUTA_CHECK(ckks::check_key_id("Galois key", key.key.to, key_id()));
  if (key.element != galois_elements_[index])
    return make_error(ErrorCode::corrupt, "key {} of {} is for X -> X^{} where X^{} is due", index,
                      galois_key_file_.string(), key.element, galois_elements_[index]);
  return std::make_shared<const ckks::GaloisKey>(std::move(key));
}

}  // namespace bauta::match
