#include "circuits/feature_extractor.h"

#include <fstream>

#include "ckks/envelope.h"

namespace bauta::circuits {
namespace {

// The objects of a key file, one after the other.
class KeyFile {
 public:
  static Result<KeyFile> open(const std::filesystem::path& path, size_t expected_bytes) {
    std::error_code failure;
    const uintmax_t size_bytes = std::filesystem::file_size(path, failure);
    if (failure)
      return make_error(ErrorCode::not_found, "the image key file {} cannot be read: {}",
                        path.string(), failure.message());
    if (size_bytes != expected_bytes)
      return make_error(ErrorCode::corrupt, "the image key file {} has {} bytes where {} are due",
                        path.string(), size_bytes, expected_bytes);
    return KeyFile(path);
  }

  Result<Bytes> next(size_t size_bytes) {
    Bytes bytes(size_bytes);
    if (!file_.read(reinterpret_cast<char*>(bytes.data()),
                    static_cast<std::streamsize>(size_bytes)))
      return make_error(ErrorCode::unavailable, "cannot read {}", path_.string());
    return bytes;
  }

 private:
  explicit KeyFile(const std::filesystem::path& path)
      : path_(path), file_(path, std::ios::binary) {}

  std::filesystem::path path_;
  std::ifstream file_;
};

size_t ring_switch_key_bytes(const ckks::RingSwitchParameters& parameters) {
  return ckks::kEnvelopeHeaderBytes +
         ckks::switching_key_payload_bytes(parameters.switching(), parameters.shape());
}

Status add_key(ckks::KeySet& keys, const Plan& plan, const ckks::KeyUse& use, ByteView bytes) {
  const ckks::Parameters& parameters = plan.ring.parameters();
  const ckks::KeySwitchShape shape = *keys.stage(use.limbs);
  if (use.element == ckks::KeyUse::kRelinearization) {
    BAUTA_TRY(ckks::RelinearizationKey key,
              ckks::parse_relinearization_key(parameters, shape, bytes));
    return keys.add(std::move(key));
  }
  BAUTA_TRY(ckks::GaloisKey key, ckks::parse_galois_key(parameters, shape, bytes));
  if (key.element != use.element)
    return make_error(ErrorCode::corrupt, "an image key for X -> X^{} where X^{} is due",
                      key.element, use.element);
  return keys.add(std::move(key));
}

}  // namespace

Result<ckks::RingSwitchParameters> ring_switch_parameters(const Plan& plan) {
  const ckks::Parameters& gallery = plan.gallery.ring();
  return ckks::RingSwitchParameters::create(plan.ring.parameters(), gallery,
                                            gallery.special_primes());
}

size_t key_bytes(const Plan& plan, const ckks::KeyUse& key) {
  const ckks::Parameters& parameters = plan.ring.parameters();
  for (const ckks::KeySwitchShape& stage : plan.ring.stages()) {
    if (stage.limbs != key.limbs) continue;
    return key.element == ckks::KeyUse::kRelinearization
               ? ckks::kEnvelopeHeaderBytes + ckks::switching_key_payload_bytes(parameters, stage)
               : ckks::galois_key_bytes(parameters, stage);
  }
  BAUTA_ASSERT(false);
  return 0;
}

FeatureExtractor::FeatureExtractor(const Plan& plan, const ckks::RingSwitchParameters& ring_switch,
                                   ckks::RingSwitchKey ring_switch_key,
                                   std::shared_ptr<const ckks::KeySet> keys, ThreadPool* pool)
    : plan_(plan),
      key_id_(keys->key_id()),
      ring_switch_key_(std::move(ring_switch_key)),
      ring_switcher_(ring_switch),
      edge_switcher_(plan.ring.parameters(), plan.ring.stages().front()),
      evaluator_(plan.ring.parameters(), std::move(keys), pool),
      pool_(pool) {}

Result<std::unique_ptr<FeatureExtractor>> FeatureExtractor::open(
    const Plan& plan, const network::Network& network, const std::filesystem::path& key_file,
    ThreadPool* pool) {
  BAUTA_TRY(const ckks::RingSwitchParameters ring_switch, ring_switch_parameters(plan));
  size_t expected_bytes = ring_switch_key_bytes(ring_switch);
  for (const ckks::KeyUse& key : plan.keys) expected_bytes += key_bytes(plan, key);
  BAUTA_TRY(KeyFile file, KeyFile::open(key_file, expected_bytes));

  BAUTA_TRY(const Bytes ring_switch_bytes, file.next(ring_switch_key_bytes(ring_switch)));
  BAUTA_TRY(ckks::RingSwitchKey ring_switch_key,
            ckks::parse_ring_switch_key(ring_switch, ring_switch_bytes));
  BAUTA_TRY(ckks::KeySet keys, ckks::KeySet::create(ring_switch_key.key.from, plan.ring.stages()));
  for (const ckks::KeyUse& use : plan.keys) {
    BAUTA_TRY(const Bytes bytes, file.next(key_bytes(plan, use)));
    BAUTA_CHECK(add_key(keys, plan, use, bytes));
  }
  std::unique_ptr<FeatureExtractor> extractor(
      new FeatureExtractor(plan, ring_switch, std::move(ring_switch_key),
                           std::make_shared<const ckks::KeySet>(std::move(keys)), pool));
  BAUTA_TRY(extractor->network_,
            EncryptedNetwork<ckks::Evaluator>::prepare(plan, network, extractor->evaluator_));
  return extractor;
}

Status FeatureExtractor::add_edge(ByteView switching_key) {
  BAUTA_TRY(ckks::SwitchingKey key,
            ckks::parse_switching_key(plan_.ring.parameters(), plan_.ring.stages().front(),
                                      switching_key));
  BAUTA_CHECK(ckks::check_key_id("image key-switching key", key.to, key_id_));
  const ckks::KeyId edge = key.from;
  const std::lock_guard lock(mutex_);
  edges_[edge] = std::make_shared<const ckks::SwitchingKey>(std::move(key));
  return {};
}

Result<Features> FeatureExtractor::extract(ByteView image) const {
  BAUTA_TRY(const ckks::SeededCiphertext seeded, parse_image(plan_, image));
  std::shared_ptr<const ckks::SwitchingKey> key;
  {
    const std::lock_guard lock(mutex_);
    const auto edge = edges_.find(seeded.key_id);
    if (edge == edges_.end())
      return make_error(ErrorCode::refused,
                        "the image is under key {}, which belongs to no admitted edge",
                        to_hex(seeded.key_id));
    key = edge->second;
  }
  ckks::EvaluationCiphertext input = to_evaluation(expand(seeded), pool_);
  ckks::PolynomialPair pair =
      edge_switcher_.switch_key(input.c1, *key, {.addend = &input.c0}, pool_);
  input.c0 = std::move(pair.u0);
  input.c1 = std::move(pair.u1);
  input.key_id = key_id_;
  std::vector<ckks::EvaluationCiphertext> ciphertexts;
  ciphertexts.push_back(std::move(input));
  return Features{network_->run(std::move(ciphertexts))};
}

ckks::CoefficientCiphertext FeatureExtractor::to_gallery(
    const ckks::EvaluationCiphertext& ciphertext) const {
  return ring_switcher_.apply(ciphertext, ring_switch_key_, pool_);
}

match::SwitchedProbe FeatureExtractor::probe(const Features& features, double length) const {
  return {to_gallery(network_->probe(features.ciphertext, length))};
}

match::StoredReference FeatureExtractor::reference(const Features& features, double length) const {
  return {to_gallery(network_->reference(features.ciphertext.clone(), length))};
}

}  // namespace bauta::circuits
